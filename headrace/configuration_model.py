"""What all configuration models share: frozen, unknown keys refused, and how a rule that spans several keys says what is wrong.

A validator of a model can only raise one error, at the model. Rules across keys raise one `RuleViolationError` instead, holding as many
problems as there are, each with its path below the model; `headrace.problems` puts them into lines of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Path = tuple[str | int, ...]
"""Keys and list positions from the top of a file: `("goals", 0, "mappings", 2, "rule")`."""


class ConfigurationModel(BaseModel):
    """Lists are tuples, so that a frozen model can't be changed inside. pydantic's own errors never carry what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


Flag = Annotated[bool, Field(strict=True)]
"""true or false and nothing else: `yes` and `"true"` are texts."""

Count = Annotated[int, Field(strict=True)]
"""A whole number; a text of digits is refused."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at `path`. The message says what, and what to do; it never holds a secret or a long value."""

    path: Path
    message: str

    def below(self, *prefix: str | int) -> Problem:
        return Problem((*prefix, *self.path), self.message)


class RuleViolationError(ValueError):
    """Raised in validators: pydantic turns it into an error of the model, `headrace.problems` back into its problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))


def refuse(problems: Iterable[Problem]) -> None:
    """Raises RuleViolationError where there is any problem."""
    found = tuple(problems)
    if found:
        raise RuleViolationError(found)


_PLAIN_KEY = re.compile(r"[a-z_]{1,64}")


def dotted(path: Path) -> str:
    """`goals[0].mappings[2].rule`. A very long key is not repeated: it may be a secret that was pasted in the wrong place."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_KEY.fullmatch(part) else shown(part, limit=32))
    return text


def shown(name: str, *, limit: int = 64) -> str:
    """A name as messages repeat it: printable, and not at all where it is longer than `limit` characters."""
    if len(name) > limit:
        return f"<{len(name)} characters>"
    return "".join(character if character.isprintable() else "�" for character in name)


def repeated(values: Iterable[str]) -> list[tuple[int, int, str]]:
    """(position, first position, value) of each value that was there before."""
    first: dict[str, int] = {}
    doubles = []
    for position, value in enumerate(values):
        if value in first:
            doubles.append((position, first[value], value))
        first.setdefault(value, position)
    return doubles
