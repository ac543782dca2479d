"""The files that `check` and `apply` are given, held against each other and against the installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.connections import Connection
from headrace.consent import CONSENTS
from headrace.exports import PropertyColumn, SegmentsColumn
from headrace.goal_choice import chosen_exports
from headrace.goals import ExportProfilesGoal, ImportGroupsGoal
from headrace.written_cells import FRACTIONS, loses
from headrace.yaml_source import Configuration, load_files
from profile_store import registry
from profile_store.segment_registry import segments_of
from profile_store.store import Store
from streaming.importing.apply import ConfigurationPlan
from streaming.importing.plan import AnyImportGoal


def load_with_installation(store: Store, files: Iterable[Path]) -> Configuration:
    """Connections may name domains that were applied before. Raises ConfigurationError."""
    stored = registry.stored_domains(store)
    definitions = {name: one.definition for name, one in stored.items() if "~" not in name}
    segments = {(name, one.name): one.definition for name in definitions for one in segments_of(store, name)}
    return load_files(files, definitions, {name: one.schema for name, one in stored.items()}, segments)


def sum_warnings(configuration: Configuration) -> list[str]:
    """SPEC I10: a goal that sums adds a file's values again whenever it imports the file again."""
    return [
        f"{_summing(connection, goal)}: a file that is imported again, because it or this goal changed, is added once more."
        " With on_change: skip, a change of the goal leaves imported files alone."
        for connection, goal in _summing_goals(configuration)
    ]


def consent_warnings(configuration: Configuration) -> Iterator[str]:
    """SPEC P1: what objectives mean for goals that know of no consents."""
    for connection in configuration.connections.values():
        for goal in connection.import_goals if connection.objectives else ():
            where = f"connection {connection.name} has objectives, goal {goal.id}"
            if isinstance(goal, ImportGroupsGoal):
                yield f"{where} imports groups, which have no consents: every row is taken."
            elif all(one.property != CONSENTS for one in goal.mappings):
                yield f"{where} maps no column to {CONSENTS}: it makes no profiles, and updates only those that consented in another file."


def export_warnings(configuration: Configuration) -> Iterator[str]:
    """SPEC E9: what an export does not say of the values that it writes."""
    for connection in configuration.connections.values():
        for goal in chosen_exports(connection):
            domain = configuration.domains.get(goal.domain)
            for column in goal.columns:
                known = domain.find_property(column.property) if domain is not None and isinstance(column, PropertyColumn) else None
                lost = "" if known is None else loses(known.type, goal.format.cells)
                if known is not None and lost and lost != FRACTIONS:
                    where = f"connection {connection.name}, goal {goal.id}, column {column.header}"
                    yield f"{where}: the format does not say {lost} of {known.name}; who imports the file gets other values where that matters."


def segment_warnings(configuration: Configuration, store: Store | None = None) -> Iterator[str]:
    """SPEC E1: exports of segments that nobody has defined, neither these files nor, where there is a store, somebody before."""
    known = set(configuration.segments)
    exports = [(connection.name, goal) for connection in configuration.connections.values() for goal in chosen_exports(connection)]
    if store is not None:
        known |= {(domain, one.name) for domain in {goal.domain for _, goal in exports} for one in segments_of(store, domain)}
    looked_in = "these files" if store is None else "these files, nor in the installation"
    for connection, goal in exports:
        for name in _segments_named(goal):
            if (goal.domain, name) not in known:
                yield (
                    f"connection {connection}, goal {goal.id}: segment {name} of domain {goal.domain} is not in {looked_in};"
                    " the goal fails with NO_SUCH_SEGMENT until it is applied."
                )


def _segments_named(goal: ExportProfilesGoal) -> dict[str, None]:
    """The one that is exported, and those that columns ask for; each once."""
    columns = (name for column in goal.columns if isinstance(column, SegmentsColumn) for name in column.segments or ())
    return dict.fromkeys([goal.segment, *columns])


def reimport_warnings(configuration: Configuration, plan: ConfigurationPlan) -> list[str]:
    """Goals that sum, where what is applied now makes files be imported again."""
    again = {(one.connection, one.goal): one for one in plan.reimports}
    return [
        f"{_summing(connection, goal)}: {found.files:,} imported file{'' if found.files == 1 else 's'} would be imported again, and added once more,"
        " since the goal changes; on_change: skip leaves them alone."
        for connection, goal in _summing_goals(configuration)
        if (found := again.get((connection.name, goal.id)))
    ]


def _summing_goals(configuration: Configuration) -> Iterator[tuple[Connection, AnyImportGoal]]:
    for connection in configuration.connections.values():
        for goal in connection.import_goals:
            if any(one.rule == "sum" for one in goal.mappings):
                yield connection, goal


def _summing(connection: Connection, goal: AnyImportGoal) -> str:
    sums = ", ".join(one.property for one in goal.mappings if one.rule == "sum")
    return f"connection {connection.name}, goal {goal.id} sums {sums}"
