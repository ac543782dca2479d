"""What the files say, made so: domains with their topics and partitions, changes of schema in their turn, segments, connections (SPEC M9).

`plan_configuration` only looks; `apply_configuration` does what it said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from headrace.configuration_diff import Difference, connection_differences, differing_fields, removed_goals
from headrace.connection_checks import domain_name, new_properties
from headrace.connections import Connection
from headrace.domains import Domain, Property, refused_changes
from headrace.errors import ConfigurationError
from headrace.goals import Goal
from headrace.schema import DomainSchema, SchemaChange, evolve, initial_schema, with_stored_properties
from headrace.settings import KafkaSettings
from headrace.yaml_source import Configuration
from profile_store import ledger, registry, sequence
from profile_store.registry import StoredDomain
from profile_store.store import Store
from streaming.importing.apply_segments import SegmentsChange, change_segments, plan_segments
from streaming.importing.await_turn import await_turn
from streaming.importing.context import ImportContext
from streaming.importing.plan import AnyImportGoal, domain_of
from streaming.importing.scan import identity_of
from streaming.importing.schema_change import drive_schema_change, register_schema_change
from streaming.topics import make_topics


@dataclass(frozen=True, slots=True)
class DomainChange:
    """A domain as it is to be. `stored` None: it is made. `schema_changes` empty: its schema stays."""

    stored: StoredDomain | None
    definition: Domain
    schema: DomainSchema
    schema_changes: tuple[SchemaChange, ...]

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(frozen=True, slots=True)
class Reimport:
    """A goal whose imported files would be imported again, since its configuration changes (SPEC I10): how many."""

    connection: str
    goal: str
    files: int

    def __str__(self) -> str:
        return f"connection {self.connection}: goal {self.goal}: {self.files:,} imported file{'' if self.files == 1 else 's'} would be imported again"


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """A connection as it is to be. `stored` None: it is made. `forgotten`: of goals that are removed, how many files their ledgers know."""

    stored: Connection | None
    written: Connection
    differences: tuple[Difference, ...]
    forgotten: dict[str, int]


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One thing that would happen, for a person."""

    what: Literal["created", "changed", "removed", "reimported"]
    text: str


@dataclass(frozen=True, slots=True)
class ConfigurationPlan:
    """What `apply` would do. `lines()` says it to a person; none: nothing changes."""

    domains: tuple[DomainChange, ...]
    connections: tuple[ConnectionChange, ...]
    reimports: tuple[Reimport, ...]
    segments: tuple[SegmentsChange, ...] = ()

    def lines(self) -> list[PlanLine]:
        said = [line for change in self.domains for line in _domain_lines(change)]
        said += [PlanLine(one.what, one.text) for change in self.segments for one in change.lines()]
        said += [_connection_line(change, one) for change in self.connections for one in change.differences]
        return [*said, *(PlanLine("reimported", str(one)) for one in self.reimports)] if said else []

    @property
    def removes(self) -> bool:
        """Whether it ends something that is there: a goal with its ledger."""
        return any(one.what == "removed" for change in self.connections for one in change.differences)


def _domain_lines(change: DomainChange) -> Iterator[PlanLine]:
    where = f"domain {change.name}"
    if change.stored is None:
        yield PlanLine("created", f"{where}: created, {change.definition.partitions} partitions")
    else:
        for text in differing_fields(change.stored.definition, change.definition):
            yield PlanLine("changed", f"{where}: {text}")
    for one in change.schema_changes:
        yield PlanLine("changed", f"{where}: property {one.property.name} ({one.property.type}): {one.kind}")


def _connection_line(change: ConnectionChange, one: Difference) -> PlanLine:
    text = f"connection {change.written.name}: {one}"
    files = change.forgotten.get(one.where.removeprefix("goal "), 0) if one.what == "removed" else 0
    if files:
        text += f", with its ledger of {files:,} file{'' if files == 1 else 's'}: a goal of that id would import them anew"
    return PlanLine(one.what, text)


def plan_configuration(store: Store, configuration: Configuration) -> ConfigurationPlan:
    """Raises ConfigurationError for what can't change in a domain that exists."""
    connections = {name: registry.get_connection(store, name) for name in registry.connection_names(store)} | configuration.connections
    stored = registry.stored_domains(store)
    _refuse_domains_of_the_api(stored, configuration)
    definitions = {name: one.definition for name, one in stored.items() if "~" not in name} | configuration.domains
    wanted = dict(definitions)
    for domain in definitions.values():
        groups = (domain.group_domain(group.name) for group in domain.group_types)
        wanted |= {group.name: group for group in groups if group is not None}
    changes = [_domain_change(store, stored.get(name), definition, connections, wanted) for name, definition in wanted.items()]
    written = [_connection_change(store, one) for one in configuration.connections.values()]
    reimports = (_reimport(store, one, goal, changes) for one in configuration.connections.values() for goal in one.import_goals)
    schemas = {one.name: one.schema for one in changes}
    segments = plan_segments(store, configuration.segments.values(), {name: schemas[name] for name in definitions})
    return ConfigurationPlan(tuple(changes), tuple(written), tuple(one for one in reimports if one.files), segments)


def _refuse_domains_of_the_api(stored: dict[str, StoredDomain], configuration: Configuration) -> None:
    problems = [
        f"domain {name}: was made through the API, which owns it; choose another name, or delete it there (DeleteDomain)"
        for name in configuration.domains
        if name in stored and stored[name].owner == "api"
    ]
    if problems:
        raise ConfigurationError(problems)


def apply_configuration(context: ImportContext, plan: ConfigurationPlan, address_secret: str) -> None:
    """Do what the plan says; a plan that was carried out halfway may be made and applied again."""
    for change in plan.domains:
        _apply_domain(context, context.kafka, change, address_secret)
    for each in plan.segments:
        change_segments(context, each.domain, each.written, ())
    for one in plan.connections:
        if one.stored != one.written:
            registry.put_connection(context.store, one.written)
        for goal in removed_goals(one.stored, one.written):
            forget_goal(context.store, one.written.name, goal)


def _apply_domain(context: ImportContext, kafka: KafkaSettings, change: DomainChange, address_secret: str) -> None:
    make_topics(kafka, change.name, change.definition.partitions)
    if change.stored is None:
        registry.create_domain(context.store, change.definition, change.schema, address_secret)
        return
    if change.stored.definition != change.definition:
        stored = change.stored
        registry.put_definition(context.store, change.definition, stored.address_key, stored.owner, stored.details)
    if change.schema_changes:
        registration = register_schema_change(context, StoredDomain(change.definition, change.schema, change.stored.address_key))
        if await_turn(context, registration, sequence.fresh_owner()):
            drive_schema_change(context, registration)


def _domain_change(
    store: Store, stored: StoredDomain | None, definition: Domain, connections: dict[str, Connection], domains: dict[str, Domain]
) -> DomainChange:
    known = dict(domains)
    if stored is not None:
        problems = refused_changes(stored.definition, definition)
        if problems:
            raise ConfigurationError([f"domain {definition.name}: {'.'.join(map(str, one.path))}: {one.message}" for one in problems])
        known[definition.name] = with_stored_properties(definition, stored.schema)
    created: list[Property] = []
    for connection in connections.values():
        created += new_properties(connection, known).get(definition.name, ())
    if stored is None:
        schema = initial_schema(definition, created)
        return DomainChange(None, definition, schema, ())
    mapped = [one.as_property() for one in stored.schema.active if one.origin == "mapping"]
    holding = {one.name for one in stored.schema.active} if registry.has_profiles(store, stored) else set[str]()
    schema, changes = evolve(stored.schema, definition, [*mapped, *created], holding)
    return DomainChange(stored, definition, schema, tuple(changes))


def forget_goal(store: Store, connection: str, goal: Goal) -> None:
    """The ledger belongs to the goal's id, and ends with it: a goal that gets the id later starts with none (SPEC C3)."""
    ledger.drop_ledger(store, domain_name(goal), connection, goal.id)


def _connection_change(store: Store, written: Connection) -> ConnectionChange:
    stored = registry.find_connection(store, written.name)
    forgotten = {
        goal.id: len(ledger.read_ledger(store, domain_name(goal), written.name, goal.id)) for goal in removed_goals(stored, written)
    }
    return ConnectionChange(stored, written, tuple(connection_differences(stored, written)), forgotten)


def _reimport(store: Store, connection: Connection, goal: AnyImportGoal, domains: list[DomainChange]) -> Reimport:
    """Of files that the ledger knows as imported under another configuration than the goal is to have."""
    change = next((one for one in domains if one.name == domain_of(goal)), None)
    if goal.on_change == "skip" or change is None or change.stored is None:
        return Reimport(connection.name, goal.id, 0)
    identity = identity_of(connection, goal, StoredDomain(change.definition, change.schema, change.stored.address_key))
    entries = ledger.read_ledger(store, change.name, connection.name, goal.id).values()
    return Reimport(connection.name, goal.id, sum(entry.state == "COMPLETE" and entry.configuration != identity for entry in entries))
