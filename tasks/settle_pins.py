"""What runs of a connection left that died between the copy of a file and its import."""

from __future__ import annotations

from streaming.importing import pinned_copy
from tasks.opened import opened
from tasks.step import step


@step
def settle_pins(connection: str, domain: str) -> None:
    with opened() as context:
        pinned_copy.settle_pins(context, domain, connection)
