"""`headrace buckets`: the buckets that a connection's key can see (SPEC C5)."""

from __future__ import annotations

from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal, table
from profile_store import registry


def list_buckets(terminal: Terminal, connection: str) -> bool:
    """Raises TerminalError LIST_BUCKETS_DENIED where the key may not: a bucket that is typed works all the same."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        names = context.objects_of(connection).list_buckets()
    goals = {name: [goal.id for goal in found.import_goals if goal.source.bucket == name] for name in names}
    terminal.document({"connection": connection, "buckets": [{"name": name, "goals": used} for name, used in goals.items()]})
    if not names:
        terminal.say("there is no bucket")
        return True
    terminal.show(table(("bucket", "goals that read it"), [(name, ", ".join(used)) for name, used in goals.items()]))
    return True
