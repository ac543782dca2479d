"""A goal compiled against its domain: the plan that an import is registered with."""

from __future__ import annotations

from headrace.address import PROFILE_IDENTIFIER
from headrace.connection_checks import domain_name
from headrace.errors import ConfigurationError, TerminalError
from headrace.goals import ImportGoal, ImportGroupsGoal, ImportProfilesGoal
from headrace.import_plan import ImportPlan, PlannedFormat, PlannedLink, PlannedMapping
from headrace.schema import DomainSchema, StoredProperty
from profile_store.registry import StoredDomain

AnyImportGoal = ImportProfilesGoal | ImportGroupsGoal


def plan_of(goal: ImportGoal, domain: StoredDomain) -> ImportPlan:
    """Raises ConfigurationError where the goal asks for what this release does not do, TerminalError where `apply` has not made a property."""
    _refuse_several_identifiers(goal, domain.schema)
    link = goal.link[0]
    linked = None if link.property == PROFILE_IDENTIFIER else _stored(domain.schema, link.property, domain.name)
    mappings = [_planned(_stored(domain.schema, one.property, domain.name), one.column, one.rule, one.blank) for one in goal.mappings]
    if linked is not None and all(one.property != linked.name for one in mappings):
        mappings.insert(0, _planned(linked, link.column, "set_if_empty", "ignore"))  # SPEC M3
    f = goal.format
    return ImportPlan(
        domain=domain.name,
        partitions=domain.partitions,
        address_key=domain.address_key,
        schema_version=domain.schema.version,
        width=len(domain.schema.properties),
        file_format=PlannedFormat(
            separator=f.separator,
            encoding=f.encoding,
            decimal=f.decimal,
            multi_value=f.multi_value,
            date_format=f.date_format,
            datetime_format=f.datetime_format,
            time_zone=f.time_zone,
        ),
        link=PlannedLink(column=link.column, property=link.property, type="text" if linked is None else linked.type),
        mappings=tuple(mappings),
        allow_creation=goal.allow_creation,
        on_bad_cell=goal.on_bad_cell,
    )


def _planned(stored: StoredProperty, column: str, rule: str, blank: str) -> PlannedMapping:
    return PlannedMapping.model_validate(
        {
            "column": column,
            "property": stored.name,
            "property_id": stored.id,
            "type": stored.type,
            "multiple": stored.multiple,
            "identifier": stored.identifier,
            "rule": rule,
            "blank": blank,
        }
    )


def _stored(schema: DomainSchema, name: str, domain: str) -> StoredProperty:
    found = schema.find(name)
    if found is None:
        raise TerminalError(
            f"Domain {domain} has no property '{name}' yet.", code="NO_SUCH_PROPERTY", hint="Run `headrace apply` on the connection's file."
        )
    return found


def _refuse_several_identifiers(goal: ImportGoal, schema: DomainSchema) -> None:
    """One identifier for each import: binding a second one to the profile is not part of this release, and storing it unbound would be wrong."""
    problems = []
    if len(goal.link) > 1:
        problems.append(f"goal {goal.id}: {len(goal.link)} links; this release reads one. Keep the one that every row has.")
    linked = goal.link[0].property
    for mapping in goal.mappings:
        stored = schema.find(mapping.property)
        if stored is not None and stored.identifier and mapping.property != linked:
            problems.append(
                f"goal {goal.id}: mapping to '{mapping.property}', an identifier that is not the goal's link; this release binds one identifier per profile."
                " Make it an ordinary property, or link by it."
            )
        elif stored is not None and stored.identifier and (mapping.rule, mapping.blank) != ("set_if_empty", "ignore"):
            problems.append(
                f"goal {goal.id}: '{mapping.property}' is the goal's link, whose value a profile keeps; use the rule set_if_empty."
            )
    if problems:
        raise ConfigurationError(problems)


def domain_of(goal: AnyImportGoal) -> str:
    """The domain a goal writes to; a group goal's is `<domain>~<group type>` (SPEC G5)."""
    return domain_name(goal)
