"""The files that `check` and `apply` are given, held against each other and against the installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.connection_checks import new_properties
from headrace.connections import Connection
from headrace.errors import ConfigurationError
from headrace.goals import ImportProfilesGoal
from headrace.schema import initial_schema
from headrace.yaml_source import Configuration, load_files
from profile_store import ledger, registry
from profile_store.registry import StoredDomain
from profile_store.store import Store
from streaming.importing.apply import ConfigurationPlan
from streaming.importing.plan import domain_of, plan_of
from streaming.importing.scan import identity_of


def load_with_installation(store: Store, files: Iterable[Path]) -> Configuration:
    """Connections may name domains that were applied before. Raises ConfigurationError."""
    stored = {name: registry.get_domain(store, name) for name in registry.domain_names(store)}
    definitions = {name: one.definition for name, one in stored.items() if "~" not in name}
    return load_files(files, definitions, {name: one.schema for name, one in stored.items()})


def load_alone(files: Iterable[Path]) -> Configuration:
    """The files by themselves, as for a new installation. Raises ConfigurationError; for goals that this release can't run, too."""
    configuration = load_files(files)
    problems = [problem for one in configuration.connections.values() for problem in _refused_goals(one, configuration)]
    if problems:
        raise ConfigurationError(problems)
    return configuration


def _refused_goals(connection: Connection, configuration: Configuration) -> Iterator[str]:
    created = new_properties(connection, configuration.domains)
    for goal in connection.import_goals:
        domain = configuration.domains.get(domain_of(goal))
        if domain is None:
            continue  # of groups: made with its domain by `apply`, which looks at it
        schema = initial_schema(domain, created.get(domain.name, ()))
        try:
            plan_of(goal, StoredDomain(domain, schema, ""))
        except ConfigurationError as error:
            yield from (f"connection {connection.name}: {problem}" for problem in error.problems)


def sum_warnings(configuration: Configuration) -> list[str]:
    """SPEC I10: a goal that sums adds a file's values again whenever it imports the file again."""
    return [
        f"{_summing(connection, goal)}: a file that is imported again, because it or this goal changed, is added once more."
        " With on_change: skip, a change of the goal leaves imported files alone."
        for connection, goal in _summing_goals(configuration)
    ]


def reimport_warnings(store: Store, configuration: Configuration, plan: ConfigurationPlan) -> list[str]:
    """Goals that sum, where what is applied now makes files be imported again: with how many."""
    return [
        f"{_summing(connection, goal)}: {count:,} imported file{'' if count == 1 else 's'} would be imported again, and added once more,"
        " since the goal changes; on_change: skip leaves them alone."
        for connection, goal in _summing_goals(configuration)
        if goal.on_change == "reimport" and (count := _reimported(store, connection, goal, plan))
    ]


def _summing_goals(configuration: Configuration) -> Iterator[tuple[Connection, ImportProfilesGoal]]:
    for connection in configuration.connections.values():
        for goal in connection.goals:
            if isinstance(goal, ImportProfilesGoal) and any(one.rule == "sum" for one in goal.mappings):
                yield connection, goal


def _summing(connection: Connection, goal: ImportProfilesGoal) -> str:
    sums = ", ".join(one.property for one in goal.mappings if one.rule == "sum")
    return f"connection {connection.name}, goal {goal.id} sums {sums}"


def _reimported(store: Store, connection: Connection, goal: ImportProfilesGoal, plan: ConfigurationPlan) -> int:
    """How many files the ledger knows as imported under another configuration than the goal is to have."""
    change = next((one for one in plan.domains if one.name == goal.domain), None)
    if change is None or change.stored is None:
        return 0
    identity = identity_of(connection, goal, StoredDomain(change.definition, change.schema, change.stored.address_key))
    entries = ledger.read_ledger(store, goal.domain, connection.name, goal.id).values()
    return sum(entry.state == "COMPLETE" and entry.configuration != identity for entry in entries)
