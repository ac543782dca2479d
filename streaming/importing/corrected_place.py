"""Where a corrected file of rejects is: an object of the connection's S3."""

from __future__ import annotations

import io
import re

from headrace.connections import Connection
from headrace.errors import TerminalError
from streaming.importing.context import ImportContext


def open_corrected(context: ImportContext, connection: Connection, place: str) -> io.RawIOBase:
    """`place`: `s3://bucket/key`, or a key in the one bucket that the connection imports from. Raises TerminalError."""
    bucket, key = _object(connection, place)
    objects = context.objects_of(connection.name)
    return objects.open_text_bytes(objects.head(bucket, key))


def _object(connection: Connection, place: str) -> tuple[str, str]:
    named = re.fullmatch(r"s3://([^/]+)/(.+)", place)
    if named is not None:
        return named[1], named[2]
    buckets = sorted({goal.source.bucket for goal in connection.import_goals})
    if len(buckets) != 1:
        raise TerminalError(
            f"Connection {connection.name} imports from {len(buckets)} buckets, so '{place}' may be in any of them.",
            code="WHICH_BUCKET",
            hint="Write s3://BUCKET/KEY.",
        )
    return buckets[0], place
