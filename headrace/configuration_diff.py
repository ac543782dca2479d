"""What differs between a connection as it is and as it is to be, field by field, for people who are asked whether they mean it. SPEC C3."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from headrace.configuration_model import ConfigurationModel
from headrace.connections import Connection
from headrace.goals import Goal

What = Literal["created", "changed", "removed"]

SHOWN = 60
"""Characters of a value that are repeated."""

UNTOLD = frozenset({"emails"})
"""Fields whose values are of persons: what is said of a change goes into the audit trail too."""

KEYED = {"mappings": "property", "link": "property", "properties": "name", "group_types": "name"}
"""Lists whose entries have a name: compared entry by entry."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`where`: `goal customers`, empty for the whole; `text` says the rest: `active: true → false`."""

    what: What
    where: str
    text: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, self.text)))


def connection_differences(stored: Connection | None, written: Connection) -> list[Difference]:
    """Goals are known by their ids. None where nothing differs."""
    if stored is None:
        return [Difference("created", "", "created")]
    found = [Difference("changed", "", text) for text in differing_fields(stored, written, frozenset({"goals"}))]
    for goal in removed_goals(stored, written):
        found.append(Difference("removed", f"goal {goal.id}", "removed"))
    for goal in written.goals:
        before = stored.goal(goal.id)
        if before is None:
            found.append(Difference("created", f"goal {goal.id}", "created"))
        else:
            found += [Difference("changed", f"goal {goal.id}", text) for text in differing_fields(before, goal)]
    kept = [goal.id for goal in stored.goals if written.goal(goal.id)]
    order = [goal.id for goal in written.goals if stored.goal(goal.id)]
    if kept != order:
        found.append(Difference("changed", "", f"order of goals: {_shown(kept)} → {_shown(order)}"))
    return found


def removed_goals(stored: Connection | None, written: Connection) -> tuple[Goal, ...]:
    return () if stored is None else tuple(goal for goal in stored.goals if written.goal(goal.id) is None)


def differing_fields(stored: ConfigurationModel, written: ConfigurationModel, left_out: frozenset[str] = frozenset()) -> list[str]:
    """`mappings[points].rule: set → sum`, one each."""
    old, new = (one.model_dump(mode="json", exclude=set(left_out)) for one in (stored, written))
    return list(_differing(old, new, ""))


def _differing(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        here = f"{path}.{name}" if path else name
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differing(before, after, here)
        elif name in KEYED and isinstance(before, list) and isinstance(after, list):
            yield from _differing_entries(before, after, here, KEYED[name])
        elif name in UNTOLD:
            yield f"{here}: changed"
        else:
            yield f"{here}: {_shown(before)} → {_shown(after)}"


def _differing_entries(old: list[dict[str, Any]], new: list[dict[str, Any]], path: str, key: str) -> Iterator[str]:
    before, after = {one[key]: one for one in old}, {one[key]: one for one in new}
    changed = False
    for name in dict.fromkeys((*before, *after)):
        here = f"{path}[{name}]"
        if name not in after:
            yield f"{here}: removed"
        elif name not in before:
            yield f"{here}: added"
        elif before[name] != after[name]:
            yield from _differing(before[name], after[name], here)
        else:
            continue
        changed = True
    if not changed:
        yield f"{path}: in another order"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if 0 < len(text) <= SHOWN else f"{text[:SHOWN]}…" if text else '""'
