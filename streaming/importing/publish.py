"""Split a file and publish its row batches, each confirmed by Kafka."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime

from headrace.errors import UnsupportedFormatError
from object_store.versions import ObjectVersion
from profile_store import sequence
from profile_store.durability import barrier, partition_marks
from profile_store.sequence import Registration
from streaming.envelope import Header, encode
from streaming.importing.context import ImportContext, Progress
from streaming.publisher import Publisher
from streaming.split import SPLITTER_FORMAT
from streaming.split.splitter import Splitter, SplitTotals
from streaming.topics import make_topic


def publish_rows(context: ImportContext, registration: Registration) -> SplitTotals:
    """Publish every batch that its partition has not applied yet. Harmless to repeat: the fences skip what is done.

    Raises HeaderError, SourceChangedError and the like (the file can't be read), TransientError (Kafka or S3 does not answer).
    """
    domain, plan = registration.domain, registration.needed_plan
    if registration.splitter != SPLITTER_FORMAT:
        raise UnsupportedFormatError(
            f"Import {registration.import_seq} of domain {domain} was registered by splitter {registration.splitter}; this release has {SPLITTER_FORMAT}.",
            hint="Finish it with the release that began it.",
        )
    make_topic(context.kafka, domain, plan.partitions)
    fences = sequence.progress(context.store, domain, plan.partitions, registration.import_seq).fences
    barrier(context.store, partition_marks(domain, range(plan.partitions)))
    publisher = Publisher(context.kafka, domain)
    try:
        with open_source(context, registration) as stream:
            counted = _Counted(stream)
            splitter = Splitter(counted.read, plan, registration.needed_source.key)
            for batch in splitter.batches():
                if batch.batch_no > fences[batch.partition]:
                    publisher.publish(
                        batch.partition, encode(Header(domain, registration.import_seq, batch.partition, batch.batch_no), batch.rows)
                    )
                context.report(Progress("publishing", counted.bytes, 0, f"{splitter.totals.rows:,} rows read"))
        publisher.flush()
    finally:
        publisher.close()
    return splitter.totals


def open_source(context: ImportContext, registration: Registration) -> io.RawIOBase:
    """The registered version's bytes, decompressed: of the pinned copy where one was made."""
    version = pinned_version(registration) or registered_version(registration)
    return context.objects_of(registration.connection).open_text_bytes(version)


def registered_version(registration: Registration) -> ObjectVersion:
    source = registration.needed_source
    return ObjectVersion(
        source.bucket, source.key, source.version_id, source.etag, source.size, datetime.fromisoformat(source.last_modified)
    )


def pinned_version(registration: Registration) -> ObjectVersion | None:
    """The copy that was made for this import, if one was (SPEC I12)."""
    source = registration.needed_source
    if source.pinned_key is None or source.pinned_etag is None:
        return None
    return replace(registered_version(registration), key=source.pinned_key, etag=source.pinned_etag, version_id=None)


class _Counted:
    """Reads a stream and counts."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self.bytes = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size) or b""
        self.bytes += len(data)
        return data
