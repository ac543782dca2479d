"""The domain's schema: ids for ever, additions allowed, shapes fixed while values exist."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from headrace.domains import Domain, Property
from headrace.errors import ConfigurationError, UnsupportedFormatError
from headrace.schema import (
    DomainSchema,
    SchemaChange,
    decode_schema,
    encode_schema,
    evolve,
    initial_schema,
    known_domains,
    with_stored_properties,
)

A, B, C = (Property(name=name) for name in "abc")
B_NUMBER = Property(name="b", type="number")


def domain(*properties: Property) -> Domain:
    return Domain(version=1, kind="domain", name="retail", properties=properties)


def ids(schema: DomainSchema) -> list[tuple[int, str, str, bool]]:
    return [(one.id, one.name, one.type, one.retired) for one in schema.properties]


def kinds(changes: Sequence[SchemaChange]) -> list[tuple[str, str]]:
    return [(change.kind, change.property.name) for change in changes]


def test_ids_are_dense_in_the_files_order_then_those_of_mappings() -> None:
    schema = initial_schema(domain(B, A), [C, A])
    assert ids(schema) == [(0, "b", "text", False), (1, "a", "text", False), (2, "c", "text", False)]
    assert [one.origin for one in schema.properties] == ["domain", "domain", "mapping"]
    assert schema.version == 1
    assert initial_schema(domain()) == DomainSchema(1, ())


def test_nothing_new_is_no_new_version() -> None:
    schema = initial_schema(domain(A, B), [C])
    assert evolve(schema, domain(B, A), []) == (schema, []), "neither another order nor a connection that is not there now"


def test_added_properties_get_the_next_ids() -> None:
    schema, changes = evolve(initial_schema(domain(A)), domain(B, A), [C], holding_values={"a"})
    assert ids(schema) == [(0, "a", "text", False), (1, "b", "text", False), (2, "c", "text", False)]
    assert kinds(changes) == [("added", "b"), ("added", "c")]
    assert schema.version == 2


def test_a_removed_property_keeps_its_id_and_may_come_back() -> None:
    removed, changes = evolve(initial_schema(domain(A, B)), domain(B), holding_values={"a"})
    assert kinds(changes) == [("retired", "a")]
    assert removed.find("a") is None
    assert [one.name for one in removed.active] == ["b"]
    grown, _ = evolve(removed, domain(B, C))
    assert ids(grown) == [(0, "a", "text", True), (1, "b", "text", False), (2, "c", "text", False)], "0 is not used again"
    back, changes = evolve(grown, domain(A, B, C))
    assert kinds(changes) == [("revived", "a")]
    assert ids(back)[0] == (0, "a", "text", False)


def test_another_shape_without_values_is_another_id() -> None:
    schema, changes = evolve(initial_schema(domain(A, B)), domain(A, B_NUMBER), holding_values={"a"})
    assert ids(schema) == [(0, "a", "text", False), (1, "b", "text", True), (2, "b", "number", False)]
    assert kinds(changes) == [("replaced", "b")]
    found = schema.find("b")
    assert found is not None
    assert found.id == 2


@pytest.mark.spec("M9")
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (B_NUMBER, "type from text to number"),
        (Property(name="b", multiple=True), "multiple from false to true"),
        (Property(name="b", identifier=True), "identifier from false to true"),
        (Property(name="b", type="number", identifier=True), "type from text to number and identifier from false to true"),
    ],
)
def test_the_shape_is_fixed_while_values_exist(changed: Property, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        evolve(initial_schema(domain(A, B)), domain(A, changed), holding_values={"b"})
    assert caught.value.problems == [
        f"domain retail: property 'b' can't change its {told} while profiles hold values; keep it, and import into a new property"
    ]


@pytest.mark.spec("M9")
def test_a_mapping_cannot_change_the_shape_either() -> None:
    with pytest.raises(ConfigurationError, match="'b' can't change its type from text to number"):
        evolve(initial_schema(domain(A), [B]), domain(A), [B_NUMBER], holding_values={"b"})


def test_the_file_takes_over_what_a_mapping_created_and_gives_it_back() -> None:
    schema = initial_schema(domain(A), [B])
    adopted, changes = evolve(schema, domain(A, B), [B], holding_values={"b"})
    assert kinds(changes) == [("adopted", "b")]
    assert [one.origin for one in adopted.properties] == ["domain", "domain"]
    given_back, changes = evolve(adopted, domain(A), [B])
    assert kinds(changes) == [("adopted", "b")]
    assert given_back.properties == schema.properties
    assert kinds(evolve(adopted, domain(A))[1]) == [("retired", "b")], "unless nothing maps it"


def test_connections_are_judged_with_what_mappings_created() -> None:
    schema, _ = evolve(initial_schema(domain(A, B), [C]), domain(A))
    assert [one.name for one in with_stored_properties(domain(A), schema).properties] == ["a", "c"]
    assert [one.name for one in known_domains({"retail": domain(A)}, {"retail": schema})["retail"].properties] == ["a", "c"]
    assert known_domains({"retail": domain(A)}, {}) == {"retail": domain(A)}


def test_stored_and_read_again_it_is_equal() -> None:
    schema, _ = evolve(initial_schema(domain(A, B), [C]), domain(A, B_NUMBER, Property(name="é", multiple=True)))
    assert decode_schema(encode_schema(schema)) == schema


def test_bytes_of_the_first_format() -> None:
    stored = '{"format":1,"properties":[{"id":0,"identifier":false,"multiple":false,"name":"a","origin":"domain","retired":false,"type":"text"}],"version":1}'
    assert encode_schema(initial_schema(domain(A))) == stored
    assert decode_schema(stored) == initial_schema(domain(A))


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match=r"format 2, this release reads up to 1\. Upgrade Headrace"):
        decode_schema('{"format":2}')
