"""What a preview found, in words: for the terminal and for artifacts alike."""

from __future__ import annotations

from headrace.import_plan import ImportPlan, PlannedMapping
from headrace.masking import Values
from headrace.merge import Value
from headrace.outcomes import Reason
from streaming.look.preview import Becomes, PreviewedMapping


def in_words(value: Value | None) -> str:
    """A value as one text; a list joined by blanks and bars."""
    if value is None:
        return ""
    return value if isinstance(value, str) else " | ".join(value)


def rule_of(mapping: PlannedMapping) -> str:
    return f"{mapping.rule}, blank clears" if mapping.blank == "clear" else mapping.rule


def kind_of(mapping: PlannedMapping) -> str:
    """`text`, `list of number`, `email, identifier`."""
    kind = f"list of {mapping.type}" if mapping.multiple else mapping.type
    return f"{kind}, identifier" if mapping.identifier else kind


def becomes_of(mapping: PlannedMapping, becomes: Becomes, values: Values) -> str:
    """`values`: whether what it becomes may be read."""
    if isinstance(becomes, Reason):
        return f"{becomes.value}: {becomes.message}"
    if becomes is None:
        return "blank: clears the value" if mapping.blank == "clear" else "blank: changes nothing"
    return values.of(in_words(becomes))


def link_of(plan: ImportPlan, linked: int | Reason) -> str:
    """How a row finds its profile."""
    if isinstance(linked, Reason):
        return f"{linked.value}: {linked.message}"
    link = plan.links[linked]
    return f"{link.property}, by column {link.column}"


def format_advice(one: PreviewedMapping) -> str:
    """Of a date or date-time: what reads the values that the goal's format does not."""
    if not one.rejected:
        return ""
    if not one.fits:
        return "none of the common formats reads them"
    key = "date_format" if one.mapping.type == "date" else "datetime_format"
    return f"{key}: {' or '.join(repr(pattern) for pattern in one.fits)} would"
