"""A goal compiled against its domain: the plan that an import is registered with."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.address import PROFILE_IDENTIFIER
from headrace.connection_checks import domain_name
from headrace.consent import CONSENTS
from headrace.errors import TerminalError
from headrace.formats import FileFormat
from headrace.goals import ImportGoal, ImportGroupsGoal, ImportProfilesGoal
from headrace.import_plan import ImportPlan, PlannedFormat, PlannedLink, PlannedMapping
from headrace.schema import DomainSchema, StoredProperty
from profile_store.registry import StoredDomain

AnyImportGoal = ImportProfilesGoal | ImportGroupsGoal


def plan_of(goal: ImportGoal, domain: StoredDomain, objectives: Iterable[str]) -> ImportPlan:
    """A link counts as mapped by `set_if_empty`, unless the goal maps its property itself. `objectives`: the connection's (`judged_objectives`).

    Raises TerminalError where `apply` has not made a property.
    """
    mappings = [_planned(_stored(domain.schema, one.property, domain.name), one.column, one.rule, one.blank) for one in goal.mappings]
    links, of_links = [], []
    for one in goal.link:
        stored = None if one.property == PROFILE_IDENTIFIER else _stored(domain.schema, one.property, domain.name)
        links.append(PlannedLink(column=one.column, property=one.property, type="text" if stored is None else stored.type))
        if stored is not None and all(mapping.property != stored.name for mapping in mappings):
            of_links.append(_planned(stored, one.column, "set_if_empty", "ignore"))  # SPEC M3
    wanted, consents = judged_objectives(goal, objectives), domain.schema.find(CONSENTS)
    return ImportPlan(
        domain=domain.name,
        partitions=domain.partitions,
        address_key=domain.address_key,
        schema_version=domain.schema.version,
        width=len(domain.schema.properties),
        file_format=planned_format(goal.format),
        links=tuple(links),
        mappings=(*of_links, *mappings),
        allow_creation=goal.allow_creation,
        on_bad_cell=goal.on_bad_cell,
        objectives=wanted,
        consents_id=consents.id if consents is not None and wanted else None,
    )


def judged_objectives(goal: ImportGoal, objectives: Iterable[str]) -> tuple[str, ...]:
    """Those that rows of this goal are judged by. A group is nobody who consents: group goals take every row, whatever the connection's objectives."""
    return () if isinstance(goal, ImportGroupsGoal) else tuple(objectives)


def planned_format(written: FileFormat) -> PlannedFormat:
    return PlannedFormat(**{name: getattr(written, name) for name in PlannedFormat.model_fields if name in FileFormat.model_fields})


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


def domain_of(goal: AnyImportGoal) -> str:
    """The domain a goal writes to; a group goal's is `<domain>~<group type>` (SPEC G5)."""
    return domain_name(goal)
