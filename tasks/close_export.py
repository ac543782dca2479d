"""The end of exports: what they exported counts, and nothing half-written is left (SPEC E4, R3)."""

from __future__ import annotations

from streaming.exporting import close_export as closing
from tasks.opened import opened
from tasks.step import step


@step
def close_export(connection: str, domain: str, export_id: str) -> None:
    """Of an export whose file can be read."""
    with opened() as context:
        closing.close_export(context.store, domain, connection, export_id)


@step
def settle_exports(connection: str, domain: str) -> None:
    """Of runs of the connection that died."""
    with opened() as context:
        closing.settle_exports(context, domain, connection)
