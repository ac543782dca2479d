"""Whether one profile is in a segment: what a definition means, one profile at a time. SPEC S2, S3.

`streaming.segments.compiled` does the same in columns and must agree with it for every definition and profile; a property test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from headrace.domains import Property
from headrace.merge import Profile, Value
from headrace.segment_values import NEGATIVE, Bound, before_or_at, canonical, read_bounds, read_moment
from headrace.segments import Combine, Dimension, Named, Segment, SegmentGroup


def is_member(segment: Segment, profile: Profile, segments: Mapping[str, Segment], properties: Mapping[str, Property]) -> bool:
    """`segments`: at least its sources, by name; `properties`: at least those compared, by name."""
    known: dict[str, bool] = {}
    for name, one in Named({**segments, segment.name: segment}).closure(segment.name).items():
        known[name] = _combined(one.include, (_group_holds(group, profile, known, properties) for group in one.groups))
    return known[segment.name]


def _group_holds(group: SegmentGroup, profile: Profile, known: Mapping[str, bool], properties: Mapping[str, Property]) -> bool:
    """`known`: segment → whether the profile is in it; at least the group's sources. Of a side that says nothing nothing is asked."""
    dimensions = [dimension_holds(one, profile.get(one.property), properties[one.property]) for one in group.dimensions]
    sources = [known[name] for name in group.source_segments]
    return (not dimensions or _combined(group.type, dimensions)) and (not sources or _combined(group.source_type, sources))


def _combined(combine: Combine, found: Iterable[bool]) -> bool:
    match combine:
        case "all":
            return all(found)
        case "any":
            return any(found)
        case "none":
            return not any(found)


def dimension_holds(dimension: Dimension, value: Value | None, one: Property) -> bool:
    """`value` None: the profile has none."""
    positive = NEGATIVE.get(dimension.comparison)
    if positive is not None:
        return not dimension_holds(dimension.model_copy(update={"comparison": positive}), value, one)
    items = () if value is None else (value,) if isinstance(value, str) else value
    wanted = [canonical(one, dimension.comparison, text) for text in dimension.values]
    if dimension.comparison == "list_contains_all":
        return all(any(_equal(item, text, one) for item in items) for text in wanted)
    return any(_item_holds(dimension, item, wanted, one) for item in items)


def _item_holds(dimension: Dimension, item: str, wanted: list[str], one: Property) -> bool:
    match dimension.comparison:
        case "inclusive" | "list_contains" | "equal" | "on":
            return any(_equal(item, text, one) for text in wanted)
        case "contains":
            return any(text in item for text in wanted)
        case "begins_with":
            return any(item.startswith(text) for text in wanted)
        case "ends_with":
            return any(item.endswith(text) for text in wanted)
    value = _read(item, one)
    low, high = read_bounds(one.type, wanted[0])[0], read_bounds(one.type, wanted[-1])[1]
    match dimension.comparison:
        case "between":
            return before_or_at(low, value) and before_or_at(value, high)
        case "before" | "less_than":
            return not before_or_at(low, value)
        case "after" | "greater_than":
            return not before_or_at(value, high)
        case "less_than_or_equal":
            return before_or_at(value, high)
        case "greater_than_or_equal":
            return before_or_at(low, value)
    raise ValueError(f"no such comparison: {dimension.comparison}")


def _equal(item: str, text: str, one: Property) -> bool:
    """A day of a date-time property is equal to each of its moments."""
    if one.type not in ("number", "date", "datetime"):
        return item == text
    low, high = read_bounds(one.type, text)
    value = _read(item, one)
    return before_or_at(low, value) and before_or_at(value, high)


def _read(item: str, one: Property) -> Bound:
    if one.type == "number":
        return Decimal(item)
    found = read_moment(item)
    if found is None or (one.type == "datetime" and not isinstance(found, datetime)):
        raise ValueError(f"a {one.type} that no release stored")
    return found
