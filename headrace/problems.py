"""pydantic's errors → problems in a person's words: the key path as it stands in the file, what is wrong, what to do.

What was written is repeated only where a word of a short list was expected, and only if it looks like a word: the rest may be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from headrace.configuration_model import Path, Problem, RuleViolationError, dotted
from headrace.yaml_document import YamlDocument

SECRET = re.compile(r"secret|passw|pwd|token|access_?key|api_?key|private_?key", re.IGNORECASE)
"""Keys whose values are, or go with, secrets."""

ADVICE_FOR_SECRETS = (
    "keys and secrets have no place in this file: put them into a Prefect block and name it under s3.credentials,"
    " or into HEADRACE_S3_ACCESS_KEY_ID and HEADRACE_S3_SECRET_ACCESS_KEY; a secret that others have seen here must be changed"
)

_WORD = re.compile(r"[A-Za-z][A-Za-z_ -]{0,23}")

_EXPECTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """One problem for each thing that is wrong, in pydantic's order."""
    for detail in error.errors(include_url=False):
        path, owner = _located(model, detail["loc"])
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic counts the entries that are right; the others have problems of their own
        violation = detail.get("ctx", {}).get("error")
        if isinstance(violation, RuleViolationError):
            yield from (problem.below(*path) for problem in violation.problems)
        else:
            yield _problem(dict(detail), path, owner)


def secret_problems(document: YamlDocument) -> Iterator[Problem]:
    """A problem for each key that names a secret, wherever it stands. SPEC C2."""
    for path in document.key_paths():
        if SECRET.search(str(path[-1])):
            yield Problem(path, ADVICE_FOR_SECRETS)


def in_lines(source: str, document: YamlDocument, problems: list[Problem]) -> list[str]:
    """`connections/crm.yaml:21: goals[0].mappings[2].rule: 'summ' is not a rule; …`, ordered by line, each once."""
    found = sorted(((document.line(problem.path), problem) for problem in problems), key=lambda one: one[0])
    return list(dict.fromkeys(line_of(source, line, problem) for line, problem in found))


def line_of(source: str, line: int, problem: Problem) -> str:
    where = f"{source}:{line}: "
    return f"{where}{dotted(problem.path)}: {problem.message}" if problem.path else f"{where}{problem.message}"


def _problem(detail: dict[str, Any], path: Path, owner: type[BaseModel] | None) -> Problem:
    kind = detail["type"]
    written = detail["input"]
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(path, _unknown_key(str(path[-1]), owner))
    if kind == "missing":
        description = owner.model_fields[str(path[-1])].description if owner else None
        return Problem(path, f"is missing: {description}" if description else "is missing")
    if kind == "unknown_kind":
        found = written.get("kind") if isinstance(written, dict) else None
        return Problem((*path, "kind"), _not_one_of("a kind", found, detail["msg"].removeprefix("use one of ")))
    if kind == "literal_error":
        last = next((part for part in reversed(path) if isinstance(part, str)), "value")
        what = f"a {last}" if "_" not in last else f"a value of {last}"
        return Problem(path, _not_one_of(what, written, _choices(context["expected"])))
    if kind in _EXPECTED:
        known = owner.model_fields.get(str(path[-1])) if owner and path else None
        advice = "give a value, or leave the key out" if known and not known.is_required() else "give a value"
        return Problem(path, _other_type(_EXPECTED[kind], written, advice))
    return Problem(path, _limits(kind, context) or str(detail["msg"]).removeprefix("Value error, "))


def _limits(kind: str, context: dict[str, Any]) -> str:
    texts = {
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "too_short": "needs at least {min_length} entry",
        "too_long": "has more than {max_length} entries",
        "string_too_long": "must be at most {max_length} characters",
    }
    return texts.get(kind, "").format(**context)


def _unknown_key(key: str, owner: type[BaseModel] | None) -> str:
    known = list(owner.model_fields) if owner else []
    near = difflib.get_close_matches(key.lower()[:64], known, 1)
    return f"unknown key; did you mean '{near[0]}'?" if near else f"unknown key; known here: {', '.join(known)}"


def _not_one_of(what: str, written: object, choices: str) -> str:
    if written is None:
        return f"is missing; use one of {choices}"
    if isinstance(written, str) and _WORD.fullmatch(written):
        return f"'{written}' is not {what}; use one of {choices}"
    return f"must be one of {choices}"


def _choices(expected: str) -> str:
    """`'a', 'b' or 'c'` → `a, b, c`; a choice of one character keeps its quotes."""
    found = re.findall(r"'([^']*)'", expected)
    return ", ".join(one if len(one) > 1 else f"'{one}'" for one in found) if found else expected


def _other_type(expected: str, written: object, advice: str) -> str:
    if written is None:
        return f"is empty, must be {expected}; {advice}"
    if expected == "a text" and isinstance(written, bool | int | float):
        return "must be a text; put it in quotes"
    if (
        expected == "true or false"
        and isinstance(written, str)
        and written.lower() in ("yes", "no", "on", "off", "true", "false", "y", "n")
    ):
        return f"must be true or false; '{written}' is a text in YAML 1.2"
    return f"must be {expected}"


def _located(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[Path, type[BaseModel] | None]:
    """pydantic's location → the key path, without the class names it puts in for members of unions; and the model of the last key."""
    path: list[str | int] = []
    owner: type[BaseModel] | None = model
    candidates = [model]
    for part in loc:
        chosen = [one for one in candidates if one.__name__ == part]
        if chosen and len(candidates) > 1:
            candidates = chosen
            continue
        path.append(part)
        if isinstance(part, str):
            owner = candidates[0] if candidates else None
            known = owner.model_fields.get(part) if owner else None
            candidates = list(_models_in(known.annotation, *known.metadata)) if known else []
    return tuple(path), owner


def _models_in(*annotations: Any) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        else:
            yield from _models_in(*get_args(annotation))
