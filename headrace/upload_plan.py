"""An upload job compiled against its domain: which properties the domain has to have, and the plan of its import (SPEC U3, U4, U11)."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domains import Domain, Property
from headrace.errors import ConfigurationError
from headrace.import_plan import ImportPlan, PlannedFormat, PlannedLink, PlannedMapping
from headrace.schema import DomainSchema, SchemaChange, evolve
from headrace.upload_jobs import CELL_TYPES, UploadDefinition, UploadField


@dataclass(frozen=True, slots=True)
class NeededDomain:
    """The domain as a job needs it. `reshaped`: ids of properties that are there as something else, like one that is to become an identifier."""

    definition: Domain
    schema: DomainSchema
    changes: tuple[SchemaChange, ...]
    reshaped: tuple[int, ...]


def needed_domain(upload: UploadDefinition, definition: Domain, schema: DomainSchema, *, may_redefine: bool) -> NeededDomain:
    """`may_redefine`: whether the domain's own definition may change, as a file's may not.

    Raises ConfigurationError where a property can't become the identifier. Whether profiles hold values of `reshaped` is still to be asked: they must not.
    """
    key, there = upload.key_property, schema.find(upload.key_property.name)
    if there is not None and there.identifier:
        key = there.as_property()
    elif there is not None and there.origin == "domain":
        if not may_redefine:
            raise ConfigurationError(
                [
                    f"UniqueKey: property {key.name} of domain {definition.name} is no identifier; the domain's file says so:"
                    " set identifier: true there, or choose another key."
                ]
            )
        definition = definition.model_copy(
            update={"properties": tuple(key if one.name == key.name else one for one in definition.properties)}
        )
    mapped = [one.as_property() for one in schema.active if one.origin == "mapping" and one.name != key.name]
    created = [Property(name=one.field.name, type=one.field.type) for one in upload.fields.values() if one.field.name != key.name]
    known = {one.name for one in schema.active}
    new = [*mapped, key, *(one for one in created if one.name not in known)]
    evolved, changes = evolve(schema, definition, new)
    replaced = (schema.find(one.property.name) for one in changes if one.kind == "replaced")
    return NeededDomain(definition, evolved, tuple(changes), tuple(one.id for one in replaced if one is not None))


def held_values(upload: UploadDefinition, domain: str) -> ConfigurationError:
    """What is said where profiles hold values of the property that is to become the identifier."""
    return ConfigurationError(
        [
            f"UniqueKey: {upload.key.target} can't become an identifier of domain {domain}: profiles hold values of it that were not imported as"
            " identifiers. Choose the key of the jobs before, or import into a new domain."
        ]
    )


def upload_plan(upload: UploadDefinition, domain: tuple[Domain, str], schema: DomainSchema, phone_region: str, expires: int) -> ImportPlan:
    """`domain`: its definition, and the key of its addresses. `schema`: with all that `needed_domain` asks for."""
    definition, address_key = domain
    mappings = {name: _mapping(one, schema) for name, one in upload.fields.items()}
    key = next(mappings[name] for name, one in upload.fields.items() if one == upload.key)
    return ImportPlan(
        domain=definition.name,
        partitions=definition.partitions,
        address_key=address_key,
        schema_version=schema.version,
        width=len(schema.properties),
        file_format=PlannedFormat(phone_region=phone_region),
        links=(PlannedLink(column=key.column, property=key.property, type=key.type),),
        mappings=tuple(mappings.values()),
        allow_creation=True,
        on_bad_cell="reject_row",
        expires=expires,
    )


def _mapping(one: UploadField, schema: DomainSchema) -> PlannedMapping:
    stored = schema.find(one.field.name)
    if stored is None:
        raise ValueError(f"the domain has no property {one.field.name}")
    return PlannedMapping(
        column=one.source,
        property=stored.name,
        property_id=stored.id,
        type=CELL_TYPES[one.content_type] if stored.type == "text" else stored.type,
        multiple=stored.multiple,
        identifier=stored.identifier,
        longest=one.field.longest,
    )
