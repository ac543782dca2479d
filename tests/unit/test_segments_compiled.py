"""A segment in columns is what it is profile by profile: every comparison, over every type, absent values and lists included (SPEC S2, S3, S4)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.cells import CellFormat, read_value
from headrace.domains import Domain, Property
from headrace.merge import Profile, Value
from headrace.schema import DomainSchema, StoredProperty
from headrace.segment_evaluation import is_member
from headrace.segment_set import SegmentSet, decode_segments, encode_segments, evolve
from headrace.segment_values import COMPARISONS, before_or_at, canonical, comparisons_of, read_bounds, value_problem
from headrace.segments import Combine, Dimension, Named, Segment, SegmentGroup, validate_segment
from profile_store.records import stored
from streaming.segments.compiled import Columns, compile_segment, evaluate

TYPES = ("text", "number", "date", "datetime", "email", "boolean")
SCHEMA = DomainSchema(
    1,
    tuple(
        StoredProperty(place, f"{kind}{'s' if multiple else ''}", kind, False, multiple)  # type: ignore[arg-type]
        for place, (kind, multiple) in enumerate((kind, multiple) for kind in TYPES for multiple in (False, True))
    ),
)

VALUES: dict[str, tuple[str, ...]] = {
    "text": ("a", "ab", "b", "B", "ä", "0", "1", "\x1c0", "x\x1ey", "line\nend", "\nend", "\x1c", "a b", "%"),
    "number": (
        "0",
        "1",
        "-1",
        "0.1",
        "-0.5",
        "10",
        "9",
        "12345678901234567890123456.123456789012",
        "0.000000000001",
        "99999999999999",
        "1.00001",
    ),
    "date": ("1997-12-31", "1998-01-01", "1998-12-31", "0001-01-01", "9999-12-31"),
    "datetime": (
        "1997-12-31T23:59:59Z",
        "1998-01-01T00:00:00Z",
        "1998-01-01T00:00:00.000001Z",
        "1998-01-01T23:59:59.999999Z",
        "1998-01-02T00:00:00Z",
        "1998-01-01T09:00:00.500000Z",
    ),
    "email": ("a@example.com", "ab@example.org", "b@example.com"),
    "boolean": ("true", "false"),
}
WRITTEN = VALUES | {
    "datetime": (*VALUES["datetime"], "1998-01-01", "1997-12-31", "1998-01-01T09:00:00.5Z"),
    "number": (*VALUES["number"], "+1", "1.0", "00.10"),
    "email": (*VALUES["email"], "A@example.com"),
    "boolean": (*VALUES["boolean"], "yes"),
}

TEXTS = ("a", "0", "b", "\x1c", "\x1c0", "\n", "\nend", "end", "line\n", "x\x1e", "3", "example", "ä")
"""For comparisons with a part of a text."""


@st.composite
def dimensions(draw: st.DrawFn) -> Dimension:
    one = draw(st.sampled_from(SCHEMA.properties))
    shape = one.as_property()
    comparison = draw(st.sampled_from(comparisons_of(shape)))
    texts = TEXTS if COMPARISONS[comparison].kind == "text" else WRITTEN[one.type]
    wanted = COMPARISONS[comparison].values
    values = draw(st.lists(st.sampled_from(texts), min_size=wanted or 1, max_size=wanted or 3))
    assert all(value_problem(shape, comparison, text) is None for text in values)
    if wanted == 2:
        (low, _), (_, high) = (read_bounds(one.type, text) for text in values)
        values = values if before_or_at(low, high) else values[::-1]
    return Dimension.model_validate({"property": one.name, "comparison": comparison, "values": values})


COMBINE: st.SearchStrategy[Combine] = st.sampled_from(("all", "any", "none"))


def groups(sources: tuple[str, ...]) -> st.SearchStrategy[SegmentGroup]:
    used: st.SearchStrategy[list[str]] = st.lists(st.sampled_from(sources), max_size=2, unique=True) if sources else st.just([])
    return st.builds(
        lambda dims, names, kind, source_kind: SegmentGroup(
            dimensions=tuple(dims), source_segments=tuple(names), type=kind, source_type=source_kind
        ),
        st.lists(dimensions(), min_size=1, max_size=3),
        used,
        COMBINE,
        COMBINE,
    )


@st.composite
def chains(draw: st.DrawFn) -> list[Segment]:
    """Three segments, each made of those before it at times."""
    found: list[Segment] = []
    for name in ("s1", "s2", "s3"):
        names = tuple(one.name for one in found)
        found.append(
            Segment(
                version=1,
                kind="segment",
                domain="d",
                name=name,
                groups=tuple(draw(st.lists(groups(names), min_size=1, max_size=2))),
                include=draw(COMBINE),
            )
        )
    return found


def values_of(one: StoredProperty) -> st.SearchStrategy[Value | None]:
    single = st.sampled_from(VALUES[one.type])
    if one.multiple:
        return st.none() | st.lists(single, min_size=1, max_size=3, unique=True).map(tuple)
    return st.none() | single


PROFILES = st.fixed_dictionaries({one.name: values_of(one) for one in SCHEMA.properties}).map(
    lambda drawn: {name: value for name, value in drawn.items() if value is not None}
)


def columns_of(profiles: list[Profile]) -> Columns:
    columns: dict[str, Any] = {}
    for one in SCHEMA.properties:
        values = (profile.get(one.name) for profile in profiles)
        columns[str(one.id)] = pa.array([None if value is None else stored(value) for value in values], pa.string())
    return Columns(columns, len(profiles))


@pytest.mark.spec("S2")
@pytest.mark.spec("S3")
@pytest.mark.spec("S4")
@settings(max_examples=100)
@given(chains(), st.lists(PROFILES, max_size=8))
def test_columns_agree_with_profiles(segments: list[Segment], profiles: list[Profile]) -> None:
    after = evolve(SegmentSet(), segments, (), SCHEMA).after
    again = decode_segments(encode_segments(after), 1)
    named = {one.name: one for one in segments}
    properties = {one.name: one.as_property() for one in SCHEMA.properties}
    columns = columns_of([*profiles, {}])
    for one in segments:
        compiled = compile_segment(again, one.name)
        expected = [is_member(one, profile, named, properties) for profile in [*profiles, {}]]
        assert evaluate(compiled, columns).tolist() == expected
        assert compiled.of_nothing == expected[-1]


@pytest.mark.spec("S3")
@pytest.mark.parametrize("one", SCHEMA.properties, ids=lambda one: one.name)
def test_every_comparison_with_every_value_agrees(one: StoredProperty) -> None:
    """Over a profile of each value, of lists of two, and over one that has none."""
    pairs = [(first, second) for first in VALUES[one.type][:5] for second in VALUES[one.type] if first != second]
    values: list[Value] = [*pairs] if one.multiple else [*VALUES[one.type]]
    profiles: list[Profile] = [{}, *({one.name: value} for value in values)]
    columns, properties = columns_of(profiles), {one.name: one.as_property()}
    for comparison in comparisons_of(one.as_property()):
        if COMPARISONS[comparison].values == 2:
            continue  # bounds: drawn above
        for text in TEXTS if COMPARISONS[comparison].kind == "text" else WRITTEN[one.type]:
            dimension = Dimension(property=one.name, comparison=comparison, values=(text,))
            segment = Segment(version=1, kind="segment", domain="d", name="s", groups=(SegmentGroup(dimensions=(dimension,)),))
            compiled = compile_segment(evolve(SegmentSet(), [segment], (), SCHEMA).after, "s")
            expected = [is_member(segment, profile, {}, properties) for profile in profiles]
            assert evaluate(compiled, columns).tolist() == expected, (comparison, text)


@pytest.mark.spec("S3", "M2")
@pytest.mark.parametrize("written", ["J\u030c@x.nl", " A@Example.com", "ab@example.org\xa0"])
def test_an_address_in_a_definition_is_what_an_import_makes_of_it(written: str) -> None:
    email = Property(name="email", type="email")
    assert value_problem(email, "inclusive", written) is None
    assert canonical(email, "inclusive", written) == read_value("email", written, CellFormat())


@pytest.mark.spec("S3", "M2")
def test_a_part_of_an_identifier_is_written_as_identifiers_are_kept() -> None:
    """Of other texts as it is: they are kept as they are written."""
    parts = {kind: canonical(Property(name="code", identifier=kind), "begins_with", "e\u0301 ") for kind in (True, False)}
    assert parts == {True: "\xe9 ", False: "e\u0301 "}
    assert canonical(Property(name="email", type="email"), "contains", "J\u030c") == "\u01f0"


DEEP = 300
"""Segments in a chain: more than one call inside the other for each would go."""


def layered(names: tuple[str, str], below: tuple[str, ...], least: str) -> list[Segment]:
    """Two segments, each made of both of the layer below in two groups."""
    comparison = Dimension(property="number", comparison="greater_than", values=(least,))
    groups = (SegmentGroup(dimensions=(comparison,), source_segments=below), SegmentGroup(dimensions=(comparison,), source_segments=below))
    return [Segment(version=1, kind="segment", domain="d", name=name, groups=groups, include="any") for name in names]


def layers(least: str) -> list[Segment]:
    """The first layer says `least`, which decides about all above; the others look at the same property."""
    found, below = list[Segment](), tuple[str, ...]()
    for depth in range(DEEP):
        names = f"a{depth}", f"b{depth}"
        found += layered(names, below, "0" if below else least)
        below = names
    return found


@pytest.mark.spec("S2")
def test_a_source_is_gone_through_once_however_often_it_is_named() -> None:
    """2^300 times would never end."""
    segments = layers("5")
    named = Named({one.name: one for one in segments})
    domain = Domain.model_validate({"version": 1, "kind": "domain", "name": "d", "properties": [{"name": "number", "type": "number"}]})
    last = segments[-1]
    assert validate_segment(last, {"d": domain}, (), named) == []
    before = evolve(SegmentSet(), segments, (), SCHEMA).after
    compiled = compile_segment(before, last.name)
    assert not compiled.of_nothing
    profiles: list[Profile] = [{"number": "1"}, {"number": "7"}, {}]
    assert evaluate(compiled, columns_of(profiles)).tolist() == [False, True, False]
    properties = {one.name: one.as_property() for one in SCHEMA.properties}
    assert [is_member(last, one, named.segments, properties) for one in profiles] == [False, True, False]
    assert evolve(before, layers("5"), (), SCHEMA).changes == ()
    kinds = [one.kind for one in evolve(before, layers("6"), (), SCHEMA).changes]
    assert kinds == ["changed", "changed", *["follows"] * (2 * DEEP - 2)]
