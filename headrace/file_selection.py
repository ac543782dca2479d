"""Which objects of a bucket a goal means: an exact name, wildcards, or a regular expression, relative to a directory (SPEC I3).

Both kinds of pattern become one re2 expression: matching takes time linear in the length of the key, whatever was written.

    *       any characters, inside one directory          customers-*.csv
    ?       one character, not /
    [a-z]   one of these characters; [!a-z] none of them; [*] [?] [[] are the characters themselves
    **      any characters, / too: goes below             2026/**/*.csv also matches 2026/a.csv
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import re2

if TYPE_CHECKING:
    from datetime import datetime

OWN_DIRECTORY = "_headrace"
"""What Headrace itself writes lies in a directory of this name. No selection ever matches below one (SPEC I3)."""

_WILDCARDS = "*?["


class PatternError(ValueError):
    """A pattern or directory that can't be used: what is wrong, where, what to do. A ValueError, so that pydantic names the key path."""


class DatedKey(Protocol):
    """What the order of imports needs of a file."""

    @property
    def key(self) -> str: ...
    @property
    def last_modified(self) -> datetime: ...


@dataclass(frozen=True)
class FileSelection:
    """A goal's choice of files. Made by `select_files`.

    `prefix` is what to list in the bucket: every match starts with it. `goes_below`: a match may lie in a subdirectory of `directory`.
    """

    directory: str
    pattern: str
    prefix: str
    goes_below: bool
    _expression: Any

    def matches(self, key: str) -> bool:
        """Whether this key of the bucket is meant. A key that ends in / (a directory's placeholder) never is."""
        if not key.startswith(self.directory) or key.endswith("/") or is_own(key):
            return False
        return self._expression.fullmatch(key[len(self.directory) :]) is not None


def select_files(directory: str = "", *, files: str | None = None, regex: str | None = None) -> FileSelection:
    """Reads a source's `directory` with `files` (a name or wildcards) or `regex`; with neither, all files of the directory.

    `directory` is taken literally; a / at its start is dropped, one at its end is added. `regex` must match the whole path relative
    to the directory, and reaches into subdirectories wherever it allows a /. Raises PatternError.
    """
    root = _directory(directory)
    if regex is not None:
        if files is not None:
            raise PatternError(f"both files {files!r} and regex {regex!r} are given; keep one of them")
        if not regex:
            raise PatternError("the regular expression is empty; leave it out to take all files of the directory")
        return FileSelection(root, regex, root, True, _compile(regex, regex))
    pattern = "*" if files is None else files
    if not pattern:
        raise PatternError("the file pattern is empty; write * for all files of the directory")
    if pattern.startswith("/"):
        raise PatternError(f"the file pattern {pattern!r} starts with /, but is relative to the directory; drop the /")
    expression = _compile(_translate(pattern), pattern)
    return FileSelection(root, pattern, root + _literal_start(pattern), "/" in pattern or "**" in pattern, expression)


def import_order(file: DatedKey) -> tuple[datetime, str]:
    """Sort key: files are imported one after the other in the order (last modified, key) (SPEC I13)."""
    return (file.last_modified, file.key)


def is_own(key: str) -> bool:
    """Whether the key lies in a directory that Headrace writes (`_headrace/`, at any depth)."""
    return f"/{OWN_DIRECTORY}/" in f"/{key}"


def _directory(directory: str) -> str:
    path = directory.strip("/")
    if not path:
        return ""
    if is_own(f"{path}/"):
        raise PatternError(
            f"the directory {directory!r} lies in {OWN_DIRECTORY}/, which only Headrace writes and no scan enters; choose another"
        )
    return f"{path}/"


def _literal_start(pattern: str) -> str:
    """What every match starts with. `**/` may stand for nothing, so that the / after it is no part of it."""
    return pattern[: next((i for i, c in enumerate(pattern) if c in _WILDCARDS), len(pattern))]


def _translate(pattern: str) -> str:
    """Wildcards as a regular expression of re2."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            parts.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            parts.append(".*")
            at += 2
        elif pattern[at] == "[":
            characters, at = _character_class(pattern, at)
            parts.append(characters)
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(pattern[at]) or re2.escape(pattern[at]))
            at += 1
    return "".join(parts)


def _character_class(pattern: str, opening: int) -> tuple[str, int]:
    """`[...]` at `opening` as a class of re2 that never holds /, and the index after it."""
    negated = pattern.startswith("!", opening + 1)
    first = opening + 2 if negated else opening + 1
    closing = pattern.find("]", first + 1)  # a ] in the first place is meant literally
    if closing < 0:
        raise PatternError(f"{_place(pattern, opening)}: [ is never closed; write [[] for the character itself")
    ranges = []
    at = first
    while at < closing:
        low = high = pattern[at]
        if pattern.startswith("-", at + 1) and at + 2 < closing:
            high = pattern[at + 2]
            if high < low:
                raise PatternError(f"{_place(pattern, at)}: the range {low}-{high} is empty; write it as {high}-{low}")
            at += 2
        ranges.extend([_escaped(low, high)] if negated else _without_slash(low, high))
        at += 1
    if negated:
        return f"[^/{''.join(ranges)}]", closing + 1
    if not ranges:
        raise PatternError(f"{_place(pattern, opening)}: [/] can't match, since wildcards stay inside a directory; write / itself, or **")
    return f"[{''.join(ranges)}]", closing + 1


def _without_slash(low: str, high: str) -> list[str]:
    if not low <= "/" <= high:
        return [_escaped(low, high)]
    below = [_escaped(low, ".")] if low < "/" else []
    return below + ([_escaped("0", high)] if high > "/" else [])


def _escaped(low: str, high: str) -> str:
    return rf"\x{{{ord(low):x}}}-\x{{{ord(high):x}}}"


def _compile(expression: str, written: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # the reason is in the exception; stderr is no place for it
    options.dot_nl = True  # a key may hold a line break
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        fragment = reason.partition(": ")[2]
        at = max(written.find(fragment), 0) if fragment else 0
        hint = "the engine is RE2, linear in time: no look-around, no back references, repetition up to 1000"
        raise PatternError(f"{_place(written, at)}: {reason} ({hint})") from None


def _place(pattern: str, index: int) -> str:
    return f"pattern {pattern!r}, character {index + 1}"
