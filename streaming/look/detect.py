"""Every column of a file that a goal does not map yet, as mappings to paste into it (SPEC M8, M9)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from headrace.connection_checks import created_property
from headrace.connections import Connection
from headrace.domains import Property
from headrace.import_plan import PlannedMapping
from headrace.mappings import Mapping
from headrace.merge import read_mapped
from headrace.names import ColumnName, PropertyName
from headrace.outcomes import Reason
from object_store.versions import ObjectVersion
from profile_store import registry
from profile_store.registry import StoredDomain
from streaming.importing.context import ImportContext
from streaming.importing.plan import AnyImportGoal, domain_of, planned_format
from streaming.look.existing import Existing, existing_properties
from streaming.look.guess import Guess, guess_type
from streaming.look.head import Head, read_head

INDENT = "      "
"""Where the mappings of a goal stand in a connection file."""
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(slots=True)
class DetectedField:
    """A column and the mapping proposed for it. `target`: the property, prefix included; `existing`: it is there already, so that its type is given.

    `filled`: cells of the rows looked at that are not blank; `refused`: those that would be rejected as the goal stands.
    `left_out`: why it can't be pasted as it is, empty where it can.
    """

    column: str
    target: str
    type: str
    multiple: bool
    existing: bool
    filled: int
    refused: int
    warnings: list[str] = field(default_factory=list)
    left_out: str = ""

    @property
    def yaml(self) -> str:
        """One line of a mappings list; a comment where it can't be used as it is."""
        parts = [f"column: {_scalar(self.column)}", f"property: {_scalar(self.target)}"]
        if not self.existing:
            parts += [f"type: {self.type}"] if self.type != "text" else []
            parts += ["multiple: true"] if self.multiple else []
        line = f"- {{{', '.join(parts)}}}"
        return f"# {line}  # {self.left_out}" if self.left_out else line


@dataclass(frozen=True, slots=True)
class Detected:
    """`rows`: how many were looked at."""

    file: ObjectVersion
    rows: int
    fields: list[DetectedField]

    @property
    def yaml(self) -> str:
        """Ready to paste below the goal's `mappings:`."""
        return "".join(f"{INDENT}{one.yaml}\n" for one in self.fields)


def detect_fields(
    context: ImportContext, connection: Connection, goal: AnyImportGoal, version: ObjectVersion, rows: int, prefix: str | None = None
) -> Detected:
    """By the first `rows` rows. `prefix` None: the goal's. Raises HeaderError, and what reading the object raises."""
    domain = registry.get_domain(context.store, domain_of(goal))
    head = read_head(context.objects_of(connection.name), version, planned_format(goal.format), rows)
    before = goal.prefix if prefix is None else prefix
    names = [f"{before}{name}" for name in unmapped_columns(head, goal)]
    existing = existing_properties(context.store, domain, connection, goal, names)
    return Detected(version, head.rows, detected_in(head, goal, domain, before, existing))


def unmapped_columns(head: Head, goal: AnyImportGoal) -> list[str]:
    """Each name once, in the file's order. A link column counts as mapped (SPEC M3)."""
    mapped = {*(one.column for one in goal.mappings), *(one.column for one in goal.link)}
    return [name for name in dict.fromkeys(head.header) if name not in mapped]


def detected_in(head: Head, goal: AnyImportGoal, domain: StoredDomain, prefix: str, existing: Existing) -> list[DetectedField]:
    taken = {one.property: "the goal maps another column to it" for one in goal.mappings}
    taken |= {one.property: "the goal is linked by it" for one in goal.link}
    return [_detected(name, head, goal, domain, prefix, existing, taken) for name in unmapped_columns(head, goal)]


def _detected(
    column: str, head: Head, goal: AnyImportGoal, domain: StoredDomain, prefix: str, existing: Existing, taken: dict[str, str]
) -> DetectedField:
    """Notes its property in `taken`."""
    name = f"{prefix}{column}"
    cells = head.column(column)
    cell_format = planned_format(goal.format).cells
    guess = guess_type(cells or [], cell_format)
    shape = _shape(name, guess, goal, domain)
    found = DetectedField(
        column,
        name,
        shape.type if shape else guess.type,
        shape.multiple if shape else guess.multiple,
        existing=shape is not None,
        filled=sum(bool(one.strip()) for one in cells or []),
        refused=_refused(cells or [], name, guess, shape, goal),
    )
    if cells is None:
        found.left_out = f"{head.header.count(column)} columns are called so: rename them in the file"
    else:
        found.left_out = _unusable(column, name) or taken.get(name, "")
    taken.setdefault(name, f"column '{column}' comes first")
    found.warnings += existing.warnings_of(name)
    found.warnings += _contradictions(found, guess, shape)
    return found


def _shape(name: str, guess: Guess, goal: AnyImportGoal, domain: StoredDomain) -> Property | None:
    """Of the property that is there already, or built in; None: it would be created as guessed."""
    stored = domain.schema.find(name)
    if stored is not None:
        return stored.as_property()
    try:
        created = created_property(Mapping(column="x", property=name, type=guess.type, multiple=guess.multiple), goal)
    except ValidationError:
        return None
    return None if (created.type, created.multiple) == (guess.type, guess.multiple) else created


def _refused(cells: list[str], name: str, guess: Guess, shape: Property | None, goal: AnyImportGoal) -> int:
    mapping = PlannedMapping(
        column="",
        property=name,
        property_id=0,
        type=shape.type if shape else guess.type,
        multiple=shape.multiple if shape else guess.multiple,
        identifier=bool(shape and shape.identifier),
    )
    cell_format = planned_format(goal.format).cells
    return sum(isinstance(read_mapped(mapping, text, cell_format), Reason) for text in cells)


def _contradictions(found: DetectedField, guess: Guess, shape: Property | None) -> list[str]:
    said = [] if shape and shape.type == "text" else list(guess.remarks)
    if shape is not None and (shape.type, shape.multiple) != (guess.type, guess.multiple):
        said.append(f"property '{found.target}' holds {_kind(shape)}; the column's values look like {_kind(guess)}")
    if shape is not None and shape.identifier:
        said.append(f"property '{found.target}' is an identifier: each value is bound to its profile")
    if found.refused:
        said.append(f"{found.refused:,} of {found.filled:,} values would be rejected as the goal stands")
    return said


def _kind(one: Property | Guess) -> str:
    return f"a list of {one.type}" if one.multiple else one.type


def _unusable(column: str, name: str) -> str:
    """Why no mapping can be written, empty where one can."""
    try:
        TypeAdapter(ColumnName).validate_python(column)
    except ValidationError:
        return "the column has no name that can be written: name it in the file's first line"
    try:
        TypeAdapter(PropertyName).validate_python(name)
    except ValidationError:
        return "this is no property name: choose another"
    return ""


def _scalar(text: str) -> str:
    """As YAML reads it back, whatever it is: JSON's strings are YAML's too."""
    if _BARE.fullmatch(text) and text.lower() not in _YAML_WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
