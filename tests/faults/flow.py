"""The flow of a schedule: one run of a connection's imports, an erasure, or a change of segments, in a process that may be killed.

The steps are the product's own, with the schedule's constants.

Exit codes: 0 all is imported; AGAIN: an outage, to be started again, as Prefect would; any other: something that no outage explains.
"""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from headrace import failpoints
from headrace.address import address_of
from headrace.connections import Connection
from headrace.errors import TransientError
from headrace.settings import Settings
from object_store.access import S3Access
from profile_store import members, registry, run_turns, sequence
from profile_store.registration import Registration
from profile_store.reject_history import rejects_of_connection
from profile_store.store import Store
from streaming.importing import await_outcomes, await_run_turn, close, drive, heed_stop
from streaming.importing.await_turn import finish
from streaming.importing.close import ImportResult
from streaming.importing.context import ImportContext
from streaming.importing.erase import register_erasure
from streaming.importing.publish import publish_rows
from streaming.importing.replay import register_replay
from streaming.segments.materialize import materialize
from streaming.split import batches
from streaming.split.splitter import SplitTotals
from tasks import uploads
from tests.corrected import corrected
from tests.faults import jobs
from tests.faults.shop_segments import CHANGED
from tests.faults.ticks import OFF, ON, TICK, run_task
from tests.pipeline import Pipeline

AGAIN = 75
"""EX_TEMPFAIL. Python itself ends with 1 where an exception is nobody's."""
ERASE, REPLAY, SEGMENTS = "erase:", "replay:", "segments:"
TURN_SECONDS = 4
"""Longer than any outage of a schedule, though one may keep a run from renewing its turn twice."""
STOP_LOOK_SECONDS = 0.03
CHUNK = 10
"""Members that an export reads at a time: few, as a partition of a schedule has few."""
WRONG, RIGHT, LEFT_WRONG = "n/a", "7", "C24"
"""A cell that is rejected, what it is corrected to, and the customer for whom it is not."""


@dataclass(frozen=True)
class FlowOptions:
    """`directory`: where it is noted what was published, and what ticks say. `stalled`: seconds after which all is published again; None: never again.

    `failpoint`: where the process ends itself; '' for nowhere. `patience`: seconds for which an upload job that has started, or ended, is left alone.
    """

    directory: str
    batch_rows: int
    lease_seconds: int
    stalled: float | None
    publish_twice: bool
    failpoint: str = ""
    patience: float = 1.0


class RepublicationError(AssertionError):
    """Something needs the flow to publish again, and the topic was never wiped."""


def main(arguments: tuple[str, ...]) -> int:
    task, written = arguments
    options = FlowOptions(**json.loads(written))
    batches.BATCH_ROWS = options.batch_rows
    for module in (sequence, drive):
        put(module, "LEASE_SECONDS", options.lease_seconds)
    for module in (run_turns, await_run_turn):
        put(module, "TURN_SECONDS", TURN_SECONDS)
    put(await_run_turn, "LOOK_SECONDS", 0.2)
    put(heed_stop, "LOOK_SECONDS", STOP_LOOK_SECONDS)
    put(uploads, "PATIENCE_SECONDS", options.patience)
    put(close, "_end", jobs.noting_what_was_applied(Path(options.directory)))
    put(members, "CHUNK", CHUNK)
    put(members, "AT_ONCE_CHUNK", CHUNK)
    if options.failpoint:
        failpoints.arm(options.failpoint)
    _publish_as(options)
    settings = Settings()
    secret = settings.s3.secret_access_key
    access = S3Access(
        settings.s3.endpoint_url, settings.s3.region, settings.s3.access_key_id, secret.get_secret_value() if secret else None
    )
    try:
        pipeline = Pipeline(settings, access)
        for result in _results(pipeline, Store(settings.redis), task, Path(options.directory)):
            sys.stdout.write(f"{result.state} {result.outcomes} {result.reason}\n")
    except TransientError as error:
        sys.stdout.write(f"an outage: {error}\n")
        return AGAIN
    return 0


def _results(pipeline: Pipeline, store: Store, task: str, directory: Path) -> list[ImportResult]:
    """`task`: a connection's name; `replay:<connection>`, which also replays what its imports rejected; `erase:<domain>:<property>:<value>:<suppress>`;
    `segments:<domain>`, which changes its segments and builds them; `tick:`, `on:` and `off:<connection>` (tests/faults/ticks.py); what jobs.py has."""
    if task.startswith((TICK, ON, OFF)):
        return run_task(pipeline, task, directory)
    if task.startswith((jobs.UPLOAD, jobs.LOOK, jobs.EXPIRE)):
        jobs.run_task(pipeline, task)
        return []
    if task.startswith(SEGMENTS):
        return _change_segments(pipeline, task.removeprefix(SEGMENTS))
    if task.startswith(REPLAY):
        connection = registry.get_connection(store, task.removeprefix(REPLAY))
        return [*pipeline.run(connection), *_replay(pipeline, connection)]
    if not task.startswith(ERASE):
        return pipeline.run(registry.get_connection(store, task))
    domain, name, value, suppress = task.removeprefix(ERASE).split(":")
    address = address_of(bytes.fromhex(registry.get_domain(store, domain).address_key), name, value)
    registration = register_erasure(pipeline.context, domain, address, suppress == "True")
    return [finish(pipeline.context, registration, sequence.fresh_owner())]


def _change_segments(pipeline: Pipeline, domain: str) -> list[ImportResult]:
    pipeline.define_segments(domain, *CHANGED)
    if materialize(pipeline.store, domain).waiting:
        raise TransientError("Redis came back without what was just built.", code="WRITE_LOST")
    return []


def _replay(pipeline: Pipeline, connection: Connection) -> list[ImportResult]:
    """Every file of rejects of the first run of a row, its cells corrected, but for one customer's."""
    context, results = pipeline.context, list[ImportResult]()
    for found in rejects_of_connection(context.store, connection.name):
        objects = context.objects_of(connection.name)
        with objects.open(objects.head(found.note.bucket, found.note.rejects_key)) as stream:
            data = corrected(stream.readall(), lambda line: line if line["id"] == LEFT_WRONG else {**line, "amount": RIGHT})
        for registration, _ in register_replay(context, connection, io.BytesIO(data), "corrected.csv", "replay").registrations:
            results.append(finish(context, registration, sequence.fresh_owner()))
    return results


def _publish_as(options: FlowOptions) -> None:
    """Who publishes, and how often, as the schedule says."""

    def publish(context: ImportContext, registration: Registration) -> SplitTotals:
        totals = publish_rows(context, registration)
        return publish_rows(context, registration) if options.publish_twice else totals

    def publish_once(context: ImportContext, registration: Registration) -> SplitTotals:
        noted = Path(options.directory) / f"published-{registration.domain}-{registration.import_seq}"
        if noted.exists():
            return SplitTotals(**json.loads(noted.read_text()))
        totals = publish(context, registration)
        incoming = noted.with_suffix(f".{os.getpid()}")
        incoming.write_text(json.dumps(asdict(totals)))
        incoming.rename(noted)
        return totals

    def refuse(_context: ImportContext, registration: Registration) -> SplitTotals:
        raise RepublicationError(f"import {registration.import_seq} of {registration.domain} stalls, with all of it published")

    if options.stalled is None:
        put(drive, "publish_rows", publish_once)
        put(await_outcomes, "publish_rows", refuse)
    else:
        put(drive, "publish_rows", publish)
        put(await_outcomes, "publish_rows", publish)
        put(await_outcomes, "STALLED_SECONDS", options.stalled)


def put(module: ModuleType, name: str, value: object) -> None:
    """In place of what the module has under that name, and only if it has."""
    if not hasattr(module, name):
        raise AttributeError(f"{module.__name__} has no {name} any more")
    setattr(module, name, value)
