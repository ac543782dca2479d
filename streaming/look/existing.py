"""Properties that a mapping would save into although something is there already: they hold values, or are mapped elsewhere (SPEC M9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from headrace.connection_checks import domain_name
from headrace.connections import Connection
from headrace.goals import ImportGoal
from profile_store import registry
from profile_store.profiles import each_profile
from profile_store.registry import StoredDomain
from profile_store.store import Store

PROFILES_LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class Existing:
    """`holding`: properties that one of the first PROFILES_LOOKED_AT profiles has a value of; `elsewhere`: property → the other goals that map it."""

    holding: frozenset[str] = frozenset()
    elsewhere: dict[str, list[str]] = field(default_factory=dict)

    def warnings_of(self, name: str) -> list[str]:
        said = [f"property '{name}' already holds values"] if name in self.holding else []
        if name in self.elsewhere:
            said.append(f"property '{name}' is also mapped by {', '.join(self.elsewhere[name])}")
        return said


def existing_properties(store: Store, domain: StoredDomain, connection: Connection, goal: ImportGoal, names: Iterable[str]) -> Existing:
    """Of these properties of the goal's domain, as they are now."""
    wanted = {name for name in names if domain.schema.find(name) is not None}
    return Existing(_holding(store, domain, wanted), _elsewhere(store, domain.name, connection.name, goal.id))


def _holding(store: Store, domain: StoredDomain, wanted: set[str]) -> frozenset[str]:
    found: set[str] = set()
    if wanted:
        for profile in islice(each_profile(store, domain), PROFILES_LOOKED_AT):
            found |= wanted & profile.values.keys()
            if found == wanted:
                break
    return frozenset(found)


def _elsewhere(store: Store, domain: str, connection: str, goal_id: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in registry.connection_names(store):
        for goal in registry.get_connection(store, name).import_goals:
            if domain_name(goal) == domain and (name, goal.id) != (connection, goal_id):
                for mapping in goal.mappings:
                    found[mapping.property].append(f"goal {goal.id} of connection {name}")
    return dict(found)
