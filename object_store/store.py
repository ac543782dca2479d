"""One S3 server as the rest of Headrace sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.file_selection import FileSelection, import_order
from object_store import listing, pinning, writer
from object_store.access import ATTEMPTS, S3Access, connect
from object_store.compression import decompressed
from object_store.reader import ObjectReader, Patience

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from object_store.versions import ObjectVersion

CSV = "text/csv; charset=utf-8"


class ObjectStore:
    """Safe to share between threads; the streams it opens are not. Sends nothing when it is made.

    Every method raises TransientError where waiting helps, TerminalError with a code where it doesn't (`object_store.refusals`).
    """

    def __init__(
        self,
        access: S3Access,
        *,
        patience: Patience | None = None,
        copy_limits: pinning.CopyLimits | None = None,
        request_attempts: int = ATTEMPTS,
    ) -> None:
        self.access = access
        self._client = connect(access, request_attempts)
        self._patience = patience
        self._copy_limits = copy_limits

    def list_buckets(self) -> list[str]:
        """TerminalError LIST_BUCKETS_DENIED where the key may not (SPEC C5)."""
        return listing.list_buckets(self._client, self.access.server)

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[ObjectVersion]:
        """All keys with the prefix, below it too, in key order; never in `_headrace/`. `version_id` is None here."""
        return listing.list_objects(self._client, bucket, prefix)

    def list_selected(self, bucket: str, selection: FileSelection) -> list[ObjectVersion]:
        """The files that a goal means, in the order they are imported (SPEC I3, I4, I13)."""
        list_them = listing.list_objects if selection.goes_below else listing.list_directory
        return sorted(
            (found for found in list_them(self._client, bucket, selection.prefix) if selection.matches(found.key)), key=import_order
        )

    def head(self, bucket: str, key: str) -> ObjectVersion:
        """The present version, with its `version_id` in a bucket that keeps versions."""
        return listing.head(self._client, bucket, key)

    def open(self, version: ObjectVersion) -> io.RawIOBase:
        """Its bytes as stored, streamed; SourceChangedError rather than a byte of another version (SPEC I12)."""
        return ObjectReader(self._client, version, self._patience)

    def open_text_bytes(self, version: ObjectVersion) -> io.RawIOBase:
        """Its bytes, decompressed if they are compressed (SPEC I11). Reads the first bytes at once, so it may raise what reading raises."""
        return decompressed(ObjectReader(self._client, version, self._patience), version.location)

    def pin(self, version: ObjectVersion, owner: str) -> ObjectVersion:
        """What to read for as long as the import `owner` takes (SPEC I12). Idempotent for the same version and owner."""
        return pinning.pin(self._client, version, owner, self._copy_limits)

    def unpin(self, version: ObjectVersion) -> None:
        """Deletes a copy that `pin` made; does nothing to any other object."""
        pinning.unpin(self._client, version)

    def open_write(self, bucket: str, key: str, content_type: str = CSV) -> AbstractContextManager[writer.ObjectWriter]:
        """`with store.open_write(…) as out: out.write(data)`: visible whole at the end of the block, not at all if it raises (SPEC E4)."""
        return writer.open_write(self._client, bucket, key, content_type)
