"""Configuration files → domains, connections and segments. Whatever is wrong is said at once, each with file, line and key path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from headrace.configuration_model import ConfigurationModel, Problem
from headrace.connection_checks import new_properties, validate_against
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.errors import ConfigurationError
from headrace.problems import in_lines, problems_of, secret_problems
from headrace.schema import DomainSchema, known_domains
from headrace.segments import Named, Segment, validate_segment
from headrace.yaml_document import YamlDocument, YamlError, parse_yaml

VERSION = 1
"""Of the file format that this release reads and writes."""

Model = Domain | Connection | Segment
KINDS: dict[str, type[Domain] | type[Connection] | type[Segment]] = {"domain": Domain, "connection": Connection, "segment": Segment}

PRINCIPALS = "principals"
"""The kind of a file that the API reads by itself (docs/api.md); nothing of it is stored."""

LIMIT_BYTES = 1_000_000

_Model = TypeVar("_Model", bound=ConfigurationModel)


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file that is right in itself. `document` knows the lines, for what turns out later."""

    source: str
    model: Model
    document: YamlDocument

    def lines(self, problems: list[Problem]) -> list[str]:
        """Problems found later (`validate_against`, `refused_changes`) as lines of this file."""
        return in_lines(self.source, self.document, problems)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Several files that fit each other, by name, in the order they were given; segments by the names of their domains and their own."""

    domains: dict[str, Domain]
    connections: dict[str, Connection]
    segments: dict[tuple[str, str], Segment] = field(default_factory=dict)


def load_file(path: str | Path) -> Model:
    """The domain, connection or segment that a file defines, judged by itself: `validate_against` judges it with its domains.

    Raises ConfigurationError with all problems of the file, ordered by line.
    """
    return read_file(path).model


def load_files(
    paths: Iterable[str | Path],
    stored_domains: Mapping[str, Domain] | None = None,
    stored_schemas: Mapping[str, DomainSchema] | None = None,
    stored_segments: Mapping[tuple[str, str], Segment] | None = None,
) -> Configuration:
    """Files that belong together: connections and segments are checked against the domains among them, and against those stored before.

    A domain among the files replaces the stored one of its name, with the properties that mappings created before (they are in the schemas,
    by domain; those of groups under `retail~household`). Raises ConfigurationError with all problems of all files.
    """
    loaded: list[LoadedFile] = []
    problems: list[str] = []
    for path in paths:
        try:
            loaded.append(read_file(path))
        except ConfigurationError as error:
            problems += error.problems
    problems += _defined_twice(loaded)
    configuration = Configuration(
        {one.model.name: one.model for one in loaded if isinstance(one.model, Domain)},
        {one.model.name: one.model for one in loaded if isinstance(one.model, Connection)},
        {(one.model.domain, one.model.name): one.model for one in loaded if isinstance(one.model, Segment)},
    )
    if not problems:
        domains = known_domains({**(stored_domains or {}), **configuration.domains}, stored_schemas or {})
        for one in loaded:
            if isinstance(one.model, Connection):
                problems += one.lines(validate_against(one.model, domains))
        problems += _segment_problems(loaded, configuration, domains, stored_segments or {})
    if problems:
        raise ConfigurationError(problems)
    return configuration


def _segment_problems(
    loaded: list[LoadedFile], configuration: Configuration, domains: Mapping[str, Domain], stored: Mapping[tuple[str, str], Segment]
) -> list[str]:
    """Segments may compare properties that connections of the same files create, and be made of segments that were stored before."""
    created = [new_properties(one, domains) for one in configuration.connections.values()]
    known = {**stored, **configuration.segments}
    problems = []
    for one in loaded:
        if isinstance(one.model, Segment):
            domain = one.model.domain
            named = Named({name: segment for (its, name), segment in known.items() if its == domain})
            properties = (each for found in created for each in found.get(domain, ()))
            problems += one.lines(validate_segment(one.model, domains, properties, named))
    return problems


def kind_of(path: str | Path) -> str:
    """What a file says that it is; '' where it can't be read as YAML, or does not say."""
    try:
        data = parse_yaml(_text_of(Path(path), str(path))).data
    except (ConfigurationError, YamlError):
        return ""
    return str(data.get("kind", "")) if isinstance(data, dict) else ""


def read_file(path: str | Path) -> LoadedFile:
    """Like `load_file`, with the lines. Raises ConfigurationError."""
    return read_text(_text_of(Path(path), str(path)), str(path))


def read_text(text: str, source: str) -> LoadedFile:
    """`source` is how problems call the text: usually its path. Raises ConfigurationError."""
    try:
        document = parse_yaml(text)
    except YamlError as error:
        raise ConfigurationError([f"{source}:{error.line}: {error.message}"]) from None
    wrong = _wrong_top(document.data)
    if wrong is not None:
        raise ConfigurationError(in_lines(source, document, [wrong, *secret_problems(document)]))
    model = KINDS[document.data["kind"]]
    return LoadedFile(source, _validated(model, document, source), document)


def _validated(model: type[_Model], document: YamlDocument, source: str) -> _Model:
    secrets = list(secret_problems(document))
    found: list[Problem] = []
    try:
        validated = model.model_validate(document.data)
    except ValidationError as error:
        found = list(problems_of(error, model))
    if not secrets and not found:
        return validated
    told = {problem.path for problem in secrets}
    raise ConfigurationError(in_lines(source, document, [*secrets, *(problem for problem in found if problem.path not in told)]))


def _wrong_top(data: object) -> Problem | None:
    """What makes reading on pointless: not even a kind, or a version that may mean something else by every key."""
    if data is None:
        return Problem((), f"is empty; begin with version: {VERSION} and kind: {', '.join(KINDS)}")
    if not isinstance(data, dict):
        return Problem((), f"must be a mapping of keys to values; begin with version: {VERSION} and kind: {', '.join(KINDS)}")
    version = data.get("version")
    if "version" not in data:
        return Problem(("version",), f"is missing; write version: {VERSION}")
    if type(version) is not int or version < 1:
        return Problem(("version",), f"is not a version; write version: {VERSION}")
    if version > VERSION:
        return Problem(("version",), f"{version} was written for a newer Headrace; this one reads version {VERSION}: upgrade Headrace")
    kind = data.get("kind")
    if "kind" not in data:
        return Problem(("kind",), f"is missing; use one of {', '.join(KINDS)}")
    if kind == PRINCIPALS:
        return Problem(("kind",), "says who may call the API, which reads the file by itself: name it in HEADRACE_API_PRINCIPALS_FILE")
    if not isinstance(kind, str) or kind not in KINDS:
        return Problem(("kind",), f"is not a kind of file; use one of {', '.join(KINDS)}")
    return None


def _defined_twice(loaded: list[LoadedFile]) -> list[str]:
    first: dict[tuple[str, str], str] = {}
    problems = []
    for one in loaded:
        name = (one.model.kind, f"{one.model.domain}/{one.model.name}" if isinstance(one.model, Segment) else one.model.name)
        if name in first:
            what = f"{one.model.kind} '{one.model.name}' is defined in {first[name]} too; rename one, or remove it"
            problems += one.lines([Problem(("name",), what)])
        first.setdefault(name, one.source)
    return problems


def _text_of(path: Path, source: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError([f"{source}: there is no such file; check the path"]) from None
    except IsADirectoryError:
        raise ConfigurationError([f"{source}: is a directory; name the files in it"]) from None
    except OSError as error:
        raise ConfigurationError([f"{source}: can't be read: {error.strerror or 'I/O error'}"]) from None
    if len(content) > LIMIT_BYTES:
        raise ConfigurationError([f"{source}: is larger than {LIMIT_BYTES:,} bytes; this is no configuration file"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{source}:{line}: is not UTF-8; save the file as UTF-8"]) from None
