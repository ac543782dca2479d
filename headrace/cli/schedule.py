"""`headrace schedule`: when a connection runs by itself next (SPEC R2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal, table
from profile_store import registry

if TYPE_CHECKING:
    from deployments.schedules import Tick
    from headrace.connections import Connection


def show_schedule(terminal: Terminal, connection: str, most: int) -> bool:
    with opened_store() as store:
        found = registry.get_connection(store, connection)
    ticks = _ticks(found, most) if found.schedule and found.enabled else []
    terminal.document(
        {
            "connection": connection,
            "enabled": found.enabled,
            "schedule": [one.model_dump(mode="json") for one in found.schedule],
            "ticks": [
                {"at": tick.at.isoformat(), "utc": tick.at.astimezone(UTC).isoformat(), "time_zone": tick.time_zone} for tick in ticks
            ],
        }
    )
    if not found.schedule:
        terminal.say(f"connection {connection} has no schedule: it runs when it is started")
    elif not found.enabled:
        terminal.say(f"connection {connection} is off: its schedules rest")
    else:
        rows = [(f"{tick.at:%a %Y-%m-%d %H:%M}", tick.time_zone, f"{tick.at.astimezone(UTC):%Y-%m-%d %H:%M}") for tick in ticks]
        terminal.show(table(("starts", "time zone", "UTC"), rows))
    return True


def _ticks(connection: Connection, most: int) -> list[Tick]:
    # Prefect takes seconds to import.
    from deployments.schedules import next_ticks

    return next_ticks(connection.schedule, datetime.now(UTC), most)
