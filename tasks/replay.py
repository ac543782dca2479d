"""Replay a corrected file of rejects (SPEC B2): the same in a Prefect run as from the command line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from headrace.connections import Connection
from headrace.errors import HeadraceError
from profile_store import registry, runs
from profile_store.registration import Registration
from profile_store.runs import RunRecord
from streaming.importing.await_turn import finish
from streaming.importing.close import COMPLETE
from streaming.importing.context import ImportContext
from streaming.importing.corrected_file import ByteSource
from streaming.importing.replay import register_replay
from tasks.replay_report import ReplayedPart, ReplayReport, files_of, headline

Open = Callable[[Connection], AbstractContextManager[ByteSource]]


def replay_file(context: ImportContext, run: RunRecord, name: str, opened: Open) -> ReplayReport:
    """`run`: as it begins, for the history; `opened`: gives the bytes of the file called `name`.

    Harmless to repeat. Raises TransientError: what is not over stays open, and the next run of the domain finishes it; TerminalError.
    """
    report = ReplayReport(run.connection, name)
    runs.write_run(context.store, run)
    try:
        _replay(context, run, report, opened)
    except BaseException as error:
        with suppress(HeadraceError):
            _end(context, run, report, str(error) if isinstance(error, HeadraceError) else f"The run was ended by {type(error).__name__}.")
        raise
    _end(context, run, report, "" if report.succeeded else headline(report))
    return report


def _replay(context: ImportContext, run: RunRecord, report: ReplayReport, opened: Open) -> None:
    connection = registry.get_connection(context.store, run.connection)
    with opened(connection) as source:
        found = register_replay(context, connection, source, report.file, run.run_id)
    report.domain, report.of, report.goal = found.first.domain, found.first.import_seq, found.first.goal
    run.goal = found.first.goal
    report.before, report.left, report.problems = found.repeated, found.left, found.problems
    for registration, lines in found.registrations:
        report.parts.append(_finished(context, registration, lines, run.run_id))


def _finished(context: ImportContext, registration: Registration, lines: int, run_id: str) -> ReplayedPart:
    result = finish(context, registration, run_id)
    source, of_rows = registration.needed_source, registration.replay is not None and registration.replay.own_columns == 1
    reason = "" if result.state == COMPLETE else result.reason
    return ReplayedPart(source.bucket, source.key, registration.import_seq, of_rows, lines, result.outcomes, result.rejects_key, reason)


def _end(context: ImportContext, run: RunRecord, report: ReplayReport, failure: str) -> None:
    run.state = "FAILED" if failure else "COMPLETE" if report.parts else "NOTHING_TO_DO"
    run.ended, run.reason, run.files = runs.now(), failure or headline(report), files_of(report)
    runs.write_run(context.store, run)
