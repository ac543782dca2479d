"""`headrace recover`: what a restored Redis lacks, imported again (SPEC R5). For operators: nothing in Prefect starts it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rich.text import Text

from headrace.cli.progress import Draw, progress_bar
from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal, plain, table
from headrace.errors import TerminalError
from headrace.goal_choice import chosen_exports
from profile_store import audit, registry, sequence
from streaming.importing.close import COMPLETE
from streaming.importing.context import ImportContext, Progress
from streaming.importing.recover import RecoveredImport, Recovery, forgotten_domains, recover

STYLES = {COMPLETE: "green", "FAILED": "red"}


def recover_domains(terminal: Terminal, domains: list[str]) -> bool:
    """All domains where none is named. Whether everything that had been lost is there again: not where a file is gone, or failed.

    Raises TerminalError before anything is done where one of them is not there.
    """
    with opened() as context:
        wanted = domains or _all_domains(context)
        for name in wanted:
            registry.get_domain(context.store, name)  # a typing error is not in the audit trail
        for name in wanted:
            audit.note(context.store, "recover", f"domain {name}")
        with progress_bar(terminal) as draw:
            done = [recover(replace(context, report=_shown(draw, name)), name, sequence.fresh_owner()) for name in wanted]
        exporting = {name: _exporting(context, name) for name in wanted}
    terminal.document({"domains": [{**_document(one), "exports_not_restored": exporting[one.domain]} for one in done]})
    if not done:
        terminal.say("there is no domain, and so nothing to recover")
    for one in done:
        _show(terminal, one)
        for connection in exporting[one.domain]:
            terminal.note(
                f"domain {one.domain}: what connection {connection} exported after the backup is in S3, and not counted any more by headrace exchange;"
                " who is exported again counts again"
            )
    return all(_is_there(one) for recovery in done for one in recovery.imports)


def _all_domains(context: ImportContext) -> list[str]:
    """Raises TerminalError where Kafka knows of more: the backup is older than those."""
    forgotten = forgotten_domains(context)
    if forgotten:
        raise TerminalError(
            f"Kafka knows imports of domains that Redis does not have: {', '.join(forgotten)}.",
            code="NO_SUCH_DOMAIN",
            hint="Apply their files, then recover again; or name the domains that are to be recovered.",
        )
    return list(registry.domain_names(context.store))


def _exporting(context: ImportContext, domain: str) -> list[str]:
    """The connections that export this domain. Nothing but Redis knows which profiles an export had: they can't be recovered (SPEC R3)."""
    connections = (registry.get_connection(context.store, name) for name in sorted(registry.connection_names(context.store)))
    return [one.name for one in connections if any(goal.domain == domain for goal in chosen_exports(one))]


def _shown(draw: Draw, domain: str) -> Any:
    def report(progress: Progress) -> None:
        percent = min(100.0 * progress.done / progress.total, 100.0) if progress.total else None
        draw(percent, f"domain {domain}: {progress.phase}, {progress.detail or f'{progress.done:,} of {progress.total:,}'}")

    return report


def _is_there(one: RecoveredImport) -> bool:
    return one.result is None or one.result.state == COMPLETE or one.failed_before


def _show(terminal: Terminal, recovery: Recovery) -> None:
    if not recovery.imports:
        terminal.say(f"domain {recovery.domain}: nothing to recover", style="green")
        return
    lost = sum(one.lost for one in recovery.imports)
    terminal.say(f"domain {recovery.domain}: {len(recovery.imports)} imports seen through, {lost} of which Redis had lost", style="bold")
    terminal.show(table(("import", "file", "state", "rows", "why"), [_row(one) for one in recovery.imports], numbers=("import", "rows")))


def _row(one: RecoveredImport) -> tuple[str | Text, ...]:
    number, source = str(one.registration.import_seq), one.registration.source
    if one.result is None:
        return (
            number,
            "(a change of schema)" if one.registration.kind == "schema" else "(a change of segments)",
            Text("done", style="green"),
            "",
            "",
        )
    what = "(an erasure)" if source is None else plain(f"s3://{source.bucket}/{source.key}")
    state = Text(one.result.state, style=STYLES.get(one.result.state, ""))
    return number, what, state, f"{one.result.outcomes.rows:,}", one.result.reason


def _document(recovery: Recovery) -> dict[str, Any]:
    return {"domain": recovery.domain, "imports": [_import_document(one) for one in recovery.imports]}


def _import_document(one: RecoveredImport) -> dict[str, Any]:
    registration, source, result = one.registration, one.registration.source, one.result
    return {
        "import_seq": registration.import_seq,
        "kind": registration.kind,
        "lost": one.lost,
        "connection": registration.connection,
        "goal": registration.goal,
        "bucket": None if source is None else source.bucket,
        "key": None if source is None else source.key,
        "state": COMPLETE if result is None else result.state,
        "reason": "" if result is None else result.reason,
        "outcomes": None if result is None else result.outcomes.as_dict(),
    }
