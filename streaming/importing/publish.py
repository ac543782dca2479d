"""Split a file and publish its row batches, each confirmed by Kafka."""

from __future__ import annotations

import io
from contextlib import suppress

from headrace.errors import SourceChangedError, UnsupportedFormatError
from profile_store import counts
from profile_store.registration import Registration
from streaming.envelope import Header, encode
from streaming.importing.announce import announce
from streaming.importing.context import ImportContext, Progress
from streaming.importing.erase import publish_order
from streaming.importing.expire import publish_ranges
from streaming.importing.open_upload import open_upload
from streaming.importing.pinned_copy import pinned_version, registered_version
from streaming.importing.taken_rows import Readable, TakenRows
from streaming.publisher import Publisher
from streaming.split import SPLITTER_FORMAT
from streaming.split.splitter import Splitter, SplitTotals
from streaming.topics import make_topics


def publish_rows(context: ImportContext, registration: Registration) -> SplitTotals:
    """Publish every batch that its partition has not applied yet. Harmless to repeat: the fences skip what is done.

    Raises HeaderError, SourceChangedError and the like (the file can't be read), TransientError (Kafka or S3 does not answer).
    """
    domain, plan = registration.domain, registration.needed_plan
    make_topics(context.kafka, domain, plan.partitions)
    announce(context, registration)
    if registration.kind == "erase":
        return publish_order(context, registration)
    if registration.kind == "expire":
        return publish_ranges(context, registration)
    if registration.splitter != SPLITTER_FORMAT:
        raise UnsupportedFormatError(
            f"Import {registration.import_seq} of domain {domain} was registered by splitter {registration.splitter}; this release has {SPLITTER_FORMAT}.",
            code="OTHER_SPLITTER",
            hint="It stays open: finish it with the release that began it.",
        )
    fences = counts.durable_progress(context.store, domain, plan.partitions, registration.import_seq).fences
    publisher = Publisher(context.kafka, domain)
    try:
        with open_rows(context, registration) as stream:
            counted = _Counted(stream)
            splitter = Splitter(counted.read, plan, registration.needed_source.key)
            for batch in splitter.batches():
                if batch.batch_no > fences[batch.partition]:
                    header = Header(domain, registration.import_seq, batch.partition, batch.batch_no, registration.token)
                    publisher.publish(batch.partition, encode(header, batch.rows))
                context.report(Progress("publishing", counted.bytes, 0, f"{splitter.totals.rows:,} rows read"))
        publisher.flush()
    finally:
        publisher.close()
    return splitter.totals


def open_source(context: ImportContext, registration: Registration) -> io.RawIOBase:
    """The registered version's bytes, decompressed: of the pinned copy where one was made.

    A copy is deleted when its import is over. One that is driven again, since Redis lost it, finds the object itself, if it is still the same.
    """
    if registration.upload:
        return open_upload(context, registration.domain, registration.upload, registered_version(registration))
    objects, pinned = context.objects_of(registration.connection), pinned_version(registration)
    if pinned is not None:
        with suppress(SourceChangedError):
            return objects.open_text_bytes(pinned, registered_version(registration).location)
    return objects.open_text_bytes(registered_version(registration))


def open_rows(context: ImportContext, registration: Registration) -> Readable:
    """The bytes that the import is of: all of its source's; of a replay, the rows that nobody has replayed before. Raises ImportEndedError."""
    stream = open_source(context, registration)
    return stream if registration.replay is None else TakenRows(context.store, registration, stream)


class _Counted:
    """Reads a stream and counts."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.bytes = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size) or b""
        self.bytes += len(data)
        return data
