"""The file of principals, with the secrets of their keys (docs/api.md, SPEC U12).

Secrets are not in that file: each key names the file or the environment variable that holds its secret. Nothing of either goes into Redis.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from api.principals import Key, Principals, PrincipalsFile
from headrace import configuration_model
from headrace.configuration_model import Problem
from headrace.errors import ConfigurationError
from headrace.problems import in_lines, problems_of, secret_problems
from headrace.yaml_document import YamlDocument, YamlError, parse_yaml

LEAST_SECRET = 16
_SHORT = f"holds fewer than {LEAST_SECRET} characters; make a secret with `openssl rand -hex 32`"


def load_principals(path: Path) -> Principals:
    """Raises ConfigurationError with all problems, by line."""
    read = _read(path)
    secrets = {key.id: _secret_of(key, path.parent) for _, key in read.each_key()}
    problems = [secret.below(*place) for place, key in read.each_key() if isinstance(secret := secrets[key.id], Problem)]
    if problems:
        raise ConfigurationError(in_lines(str(path), read.document, problems))
    owners = {key.id: one for one in read.file.principals for key in one.keys}
    return Principals(owners, {name: secret for name, secret in secrets.items() if isinstance(secret, str)})


@dataclass(frozen=True, slots=True)
class CheckedPrincipals:
    """`warnings`: lines of the file that may be right where the API runs, and are not here."""

    names: tuple[str, ...]
    warnings: tuple[str, ...]


def check_principals(path: Path) -> CheckedPrincipals:
    """As the API would read it, by somebody who may have another environment. Raises ConfigurationError with all problems, by line."""
    read = _read(path)
    wrong, doubtful = list[Problem](), list[Problem]()
    for place, key in read.each_key():
        secret = _secret_of(key, path.parent)
        if isinstance(secret, Problem):
            (doubtful if key.from_environment and key.from_environment not in os.environ else wrong).append(secret.below(*place))
        elif key.from_file and (path.parent / key.from_file).stat().st_mode & stat.S_IROTH:
            doubtful.append(Problem((*place, "from_file"), "can be read by everyone on this machine; take that away (chmod o-r)"))
    if wrong:
        raise ConfigurationError(in_lines(str(path), read.document, wrong))
    return CheckedPrincipals(tuple(one.name for one in read.file.principals), tuple(in_lines(str(path), read.document, doubtful)))


@dataclass(frozen=True, slots=True)
class _ReadFile:
    file: PrincipalsFile
    document: YamlDocument

    def each_key(self) -> Iterator[tuple[configuration_model.Path, Key]]:
        """Each with its path in the file."""
        for at, one in enumerate(self.file.principals):
            for place, key in enumerate(one.keys):
                yield ("principals", at, "keys", place), key


def _read(path: Path) -> _ReadFile:
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{path}: can't be read: {error.strerror}; check HEADRACE_API_PRINCIPALS_FILE"]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: is not UTF-8; save the file as UTF-8"]) from None
    except YamlError as error:
        raise ConfigurationError([f"{path}:{error.line}: {error.message}"]) from None
    problems = list(secret_problems(document))
    try:
        found = PrincipalsFile.model_validate(document.data)
    except ValidationError as error:
        told = {problem.path for problem in problems}
        problems += [problem for problem in problems_of(error, PrincipalsFile) if problem.path not in told]
    if problems:
        raise ConfigurationError(in_lines(str(path), document, problems))
    return _ReadFile(found, document)


def _secret_of(key: Key, directory: Path) -> str | Problem:
    """The problem's path is below the key's."""
    if key.from_environment:
        place, secret = ("from_environment",), os.environ.get(key.from_environment, "").strip()
        if not secret:
            return Problem(place, "this environment variable is not set here; it has to be where the API runs")
    else:
        place = ("from_file",)
        try:
            secret = (directory / key.from_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            return Problem(place, f"can't be read: {error.strerror}; a path is beside this file, unless it is absolute")
        except UnicodeDecodeError:
            return Problem(place, "is not UTF-8; it must hold the secret and nothing else")
    return secret if len(secret) >= LEAST_SECRET else Problem(place, _SHORT)
