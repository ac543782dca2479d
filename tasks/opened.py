"""What the steps of an import work with, opened from the settings for as long as one task needs it.

Every task opens its own: a context holds connections and keys, which are never handed from task to task. Names and numbers are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from headrace.connections import Connection, S3Location
from headrace.errors import TerminalError
from headrace.goal_choice import chosen_goals
from headrace.settings import S3Settings, Settings
from object_store.store import ObjectStore
from profile_store import registry, sequence
from profile_store.registration import Registration
from profile_store.store import Store
from streaming.importing.context import ImportContext, Report, silent
from streaming.importing.plan import AnyImportGoal
from tasks.credentials import s3_access


@dataclass(frozen=True)
class ImportNumber:
    """Names an import: its number in the sequence of its domain."""

    domain: str
    import_seq: int


@contextmanager
def opened(report: Report = silent) -> Iterator[ImportContext]:
    """`report` is told how far the step is."""
    settings = Settings()
    store = Store(settings.redis)
    try:
        yield ImportContext(store, settings.kafka, _objects_of(store, settings.s3), report, settings.api.master_key)
    finally:
        store.close()


def _objects_of(store: Store, settings: S3Settings) -> Callable[[str], ObjectStore]:
    @cache
    def objects_of(connection: str) -> ObjectStore:
        # Of uploads, which no connection asked for, there is no other place than the settings'.
        location = registry.get_connection(store, connection).s3 if connection else S3Location()
        return ObjectStore(s3_access(location, settings))

    return objects_of


def registration_of(context: ImportContext, number: ImportNumber) -> Registration:
    found = sequence.load(context.store, number.domain, number.import_seq)
    if found is None:
        raise TerminalError(
            f"Import {number.import_seq} of domain {number.domain} is not registered.",
            code="NO_REGISTRATION",
            hint="The store lost what it had acknowledged, or is another one; check HEADRACE_REDIS_URL, then run again.",
        )
    return found


def import_goal(connection: Connection, goal_id: str) -> AnyImportGoal:
    """Raises TerminalError where the connection has no such goal, or it imports nothing."""
    [goal] = chosen_goals(connection, goal_id)
    return goal
