"""What the files say, made so: domains with their topics and partitions, changes of schema in their turn, connections (SPEC M9).

`plan_configuration` only looks; `apply_configuration` does what it said.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.connection_checks import new_properties
from headrace.connections import Connection
from headrace.domains import Domain, Property, refused_changes
from headrace.errors import ConfigurationError
from headrace.schema import DomainSchema, SchemaChange, evolve, initial_schema, with_stored_properties
from headrace.settings import KafkaSettings
from headrace.yaml_source import Configuration
from profile_store import registry, sequence
from profile_store.registry import StoredDomain
from profile_store.store import Store
from streaming.importing.await_turn import await_turn
from streaming.importing.context import ImportContext
from streaming.importing.plan import domain_of, plan_of
from streaming.importing.schema_change import drive_schema_change, register_schema_change
from streaming.topics import make_topic


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
class ConfigurationPlan:
    """What `apply` would do. `lines()` says it to a person; none: nothing changes."""

    domains: tuple[DomainChange, ...]
    connections: tuple[tuple[Connection, str], ...]
    """With what happens to each: created, changed or unchanged."""

    def lines(self) -> list[str]:
        said = []
        for change in self.domains:
            if change.stored is None:
                said.append(f"domain {change.name}: created, {change.definition.partitions} partitions")
            elif change.stored.definition != change.definition and not change.schema_changes:
                said.append(f"domain {change.name}: changed")
            said += [
                f"domain {change.name}: property {one.property.name} ({one.property.type}): {one.kind}" for one in change.schema_changes
            ]
        return said + [f"connection {one.name}: {what}" for one, what in self.connections if what != "unchanged"]


def plan_configuration(store: Store, configuration: Configuration) -> ConfigurationPlan:
    """Raises ConfigurationError for what can't change in a domain that exists, and for goals that this release can't run."""
    connections = {name: registry.get_connection(store, name) for name in registry.connection_names(store)} | configuration.connections
    stored = {name: registry.get_domain(store, name) for name in registry.domain_names(store)}
    definitions = {name: one.definition for name, one in stored.items() if "~" not in name} | configuration.domains
    wanted = dict(definitions)
    for domain in definitions.values():
        groups = (domain.group_domain(group.name) for group in domain.group_types)
        wanted |= {group.name: group for group in groups if group is not None}
    changes = [_domain_change(store, stored.get(name), definition, connections, wanted) for name, definition in wanted.items()]
    _refuse_goals(changes, configuration.connections)
    kinds = [(one, _kind(registry.find_connection(store, name), one)) for name, one in configuration.connections.items()]
    return ConfigurationPlan(tuple(changes), tuple(kinds))


def apply_configuration(context: ImportContext, plan: ConfigurationPlan, address_secret: str) -> None:
    """Do what the plan says; a plan that was carried out halfway may be made and applied again."""
    for change in plan.domains:
        _apply_domain(context, context.kafka, change, address_secret)
    for connection, what in plan.connections:
        if what != "unchanged":
            registry.put_connection(context.store, connection)


def _apply_domain(context: ImportContext, kafka: KafkaSettings, change: DomainChange, address_secret: str) -> None:
    make_topic(kafka, change.name, change.definition.partitions)
    if change.stored is None:
        registry.create_domain(context.store, change.definition, change.schema, address_secret)
        return
    if change.stored.definition != change.definition:
        registry.put_definition(context.store, change.definition, change.stored.address_key)
    if change.schema_changes:
        registration = register_schema_change(context.store, StoredDomain(change.definition, change.schema, change.stored.address_key))
        if await_turn(context, registration, sequence.fresh_owner()):
            drive_schema_change(context.store, registration)


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


def _refuse_goals(changes: list[DomainChange], connections: dict[str, Connection]) -> None:
    """A goal that could only fail when it runs is refused now."""
    domains = {one.name: StoredDomain(one.definition, one.schema, "") for one in changes}
    problems: list[str] = []
    for connection in connections.values():
        if connection.objectives:
            # Importing everyone, consent or not, is the one thing that must not happen here.
            problems.append(
                f"connection {connection.name}: objectives: consent is not judged by this release, so a connection that is linked to objectives is refused;"
                " leave them out to process everyone."
            )
        for goal in connection.import_goals:
            try:
                plan_of(goal, domains[domain_of(goal)])
            except ConfigurationError as error:
                problems += [f"connection {connection.name}: {one}" for one in error.problems]
    if problems:
        raise ConfigurationError(problems)


def _kind(stored: Connection | None, written: Connection) -> str:
    if stored is None:
        return "created"
    return "unchanged" if stored == written else "changed"
