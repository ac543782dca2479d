"""A domain's schema as it is stored: which property has which id in the records, for ever.

Records hold values by property id, so an id never changes its meaning: a property that goes keeps its id as retired, and one that comes
back in another shape gets a new one. All pure: profile_store keeps the result, and a change of it takes a number in the domain's sequence
(DESIGN §1, idea 2).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from headrace.configuration_model import shown
from headrace.domains import Domain, Property, PropertyType
from headrace.errors import ConfigurationError, UnsupportedFormatError

SCHEMA_FORMAT = 1

Origin = Literal["domain", "mapping"]
"""Who defined a property: the domain's file, which can also remove it; or a mapping (SPEC M9), whose properties stay."""


@dataclass(frozen=True, slots=True)
class StoredProperty:
    """`id` is dense from 0 and never reused. A retired property is read and written by nothing, whatever old records hold under its id."""

    id: int
    name: str
    type: PropertyType
    identifier: bool
    multiple: bool
    origin: Origin = "domain"
    retired: bool = False

    def as_property(self) -> Property:
        return Property(name=self.name, type=self.type, identifier=self.identifier, multiple=self.multiple)


@dataclass(frozen=True, slots=True)
class DomainSchema:
    """`version` counts from 1, one up with every change. `properties[i].id` is i."""

    version: int
    properties: tuple[StoredProperty, ...]

    @property
    def active(self) -> tuple[StoredProperty, ...]:
        return tuple(one for one in self.properties if not one.retired)

    def find(self, name: str) -> StoredProperty | None:
        """The property in use under that name; None if there is none, or it is retired."""
        return next((one for one in self.properties if one.name == name and not one.retired), None)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One line of `apply`'s plan. `adopted`: a property that a mapping created is now in the domain's file (or the other way round)."""

    kind: Literal["added", "retired", "revived", "replaced", "adopted"]
    property: StoredProperty


def initial_schema(domain: Domain, new_properties: Iterable[Property] = ()) -> DomainSchema:
    """Of a domain that does not exist yet: its properties in the file's order, then those that mappings create."""
    return evolve(DomainSchema(0, ()), domain, new_properties)[0] if _wanted(domain, new_properties) else DomainSchema(1, ())


def evolve(
    schema: DomainSchema, domain: Domain, new_properties: Iterable[Property] = (), holding_values: Collection[str] = ()
) -> tuple[DomainSchema, list[SchemaChange]]:
    """The schema once `domain` and what mappings create (`connection_checks.new_properties`) are applied, and what changes.

    `new_properties`: of all the domain's connections, so that a property which leaves the domain's file but is still mapped stays.
    `holding_values`: names of the properties that any profile has a value for. The same schema, of the same version, where nothing changes.
    Raises ConfigurationError where the type, multiple or identifier of such a property would change (SPEC M9).
    """
    wanted = _wanted(domain, new_properties)
    _refuse_other_shapes(schema, domain.name, wanted, holding_values)
    properties = list(schema.properties)
    changes: list[SchemaChange] = []
    for one in schema.active:
        gone = one.name not in wanted and one.origin == "domain"
        if gone or (one.name in wanted and not _same_shape(one, wanted[one.name][0])):
            properties[one.id] = replace(one, retired=True)
            if gone:
                changes.append(SchemaChange("retired", properties[one.id]))
    for name, (shape, origin) in wanted.items():
        stored = next((one for one in properties if one.name == name and _same_shape(one, shape)), None)
        if stored is None:
            kind: Literal["added", "replaced"] = "replaced" if schema.find(name) else "added"
            stored = StoredProperty(len(properties), name, shape.type, shape.identifier, shape.multiple, origin)
            properties.append(stored)
            changes.append(SchemaChange(kind, stored))
        elif stored.retired or stored.origin != origin:
            properties[stored.id] = replace(stored, retired=False, origin=origin)
            changes.append(SchemaChange("revived" if stored.retired else "adopted", properties[stored.id]))
    return (DomainSchema(schema.version + 1, tuple(properties)), changes) if changes else (schema, [])


def with_stored_properties(domain: Domain, schema: DomainSchema) -> Domain:
    """The domain with the properties that mappings created before: what `connection_checks` judges connections by."""
    return domain.with_properties(one.as_property() for one in schema.active if one.origin == "mapping")


def known_domains(domains: Mapping[str, Domain], schemas: Mapping[str, DomainSchema]) -> dict[str, Domain]:
    """All domains with their stored properties, and those of their group types that have a schema already, as `retail~household`."""
    known: dict[str, Domain] = {}
    for domain in domains.values():
        groups = [group for one in domain.group_types if (group := domain.group_domain(one.name))]
        for each in (domain, *groups):
            if each is domain or each.name in schemas:
                known[each.name] = with_stored_properties(each, schemas[each.name]) if each.name in schemas else each
    return known


def encode_schema(schema: DomainSchema) -> str:
    """Canonical JSON: equal schemas give equal texts."""
    content = {"format": SCHEMA_FORMAT, "version": schema.version, "properties": [asdict(one) for one in schema.properties]}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def decode_schema(text: str) -> DomainSchema:
    """Raises UnsupportedFormatError for a format that a newer release wrote."""
    content = json.loads(text)
    if content["format"] > SCHEMA_FORMAT:
        raise UnsupportedFormatError(
            f"the domain's schema has format {content['format']}, this release reads up to {SCHEMA_FORMAT}.", hint="Upgrade Headrace."
        )
    return DomainSchema(content["version"], tuple(StoredProperty(**one) for one in content["properties"]))


def _wanted(domain: Domain, new_properties: Iterable[Property]) -> dict[str, tuple[Property, Origin]]:
    """By name, in the order of their ids to be. What the domain's file says goes before what a mapping says."""
    wanted: dict[str, tuple[Property, Origin]] = {one.name: (one, "domain") for one in domain.properties}
    for one in new_properties:
        wanted.setdefault(one.name, (one, "mapping"))
    return wanted


def _same_shape(stored: StoredProperty, shape: Property) -> bool:
    return (stored.type, stored.identifier, stored.multiple) == (shape.type, shape.identifier, shape.multiple)


def _refuse_other_shapes(
    schema: DomainSchema, domain: str, wanted: Mapping[str, tuple[Property, Origin]], holding_values: Collection[str]
) -> None:
    problems = []
    for one in schema.active:
        shape = wanted[one.name][0] if one.name in wanted else one.as_property()
        if one.name not in holding_values or _same_shape(one, shape):
            continue
        was = {"type": one.type, "identifier": one.identifier, "multiple": one.multiple}
        changed = [
            f"{what} from {_spelled(old)} to {_spelled(getattr(shape, what))}" for what, old in was.items() if getattr(shape, what) != old
        ]
        problems.append(
            f"domain {domain}: property '{shown(one.name)}' can't change its {' and '.join(changed)} while profiles hold values;"
            " keep it, and import into a new property"
        )
    if problems:
        raise ConfigurationError(problems)


def _spelled(value: object) -> str:
    return str(value).lower()
