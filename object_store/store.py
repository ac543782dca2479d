"""One S3 server as the rest of Headrace sees it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from headrace.file_selection import FileSelection, import_order
from object_store import listing, pinning, writer
from object_store.access import ATTEMPTS, S3Access, connect
from object_store.compression import decompressed
from object_store.encryption import Decrypted
from object_store.held import held_versions, remove, remove_replaced
from object_store.reader import ObjectReader, Patience

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from object_store.held import HeldVersion
    from object_store.versions import ObjectVersion

CSV = "text/csv; charset=utf-8"
NO_METADATA: Mapping[str, str] = MappingProxyType({})


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

    def list_directory(self, bucket: str, directory: str) -> Iterator[ObjectVersion]:
        """The files of a directory, without what lies below it, in key order. `version_id` is None here."""
        return listing.list_directory(self._client, bucket, directory)

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

    def open_text_bytes(self, version: ObjectVersion, name: str = "") -> io.RawIOBase:
        """Its bytes, decompressed if they are compressed (SPEC I11). Reads the first bytes at once, so it may raise what reading raises.

        `name`: what errors about its content call it, where people know it by another place than its own.
        """
        return decompressed(ObjectReader(self._client, version, self._patience), name or version.location)

    def open_encrypted(self, version: ObjectVersion, key: bytes) -> io.RawIOBase:
        """The bytes that were encrypted with `key` into this object, streamed."""
        return Decrypted(ObjectReader(self._client, version, self._patience), key, version.location)

    def pin(self, version: ObjectVersion, owner: str) -> ObjectVersion:
        """What to read for as long as the import `owner` takes (SPEC I12). Idempotent for the same version and owner."""
        return pinning.pin(self._client, version, owner, self._copy_limits)

    def unpin(self, version: ObjectVersion) -> None:
        """Deletes a copy that `pin` made; does nothing to any other object."""
        pinning.unpin(self._client, version)

    def drop_pin(self, bucket: str, key: str, owner: str) -> None:
        """Deletes what `pin` made, or began to make, of an object for this owner; harmless where there is nothing."""
        pinning.drop_pin(self._client, bucket, key, owner)

    def held(self, bucket: str, prefix: str) -> list[HeldVersion]:
        """All that is there under a prefix, older versions and what lies in `_headrace/` too (SPEC P2)."""
        return held_versions(self._client, bucket, prefix)

    def remove(self, what: HeldVersion) -> None:
        """For good; harmless to repeat."""
        remove(self._client, what)

    def remove_key(self, bucket: str, key: str) -> None:
        """Whatever was ever written to this key and is still held; harmless to repeat."""
        for one in held_versions(self._client, bucket, key):
            if one.version.key == key:
                remove(self._client, one)

    def remove_files(self, bucket: str, directory: str) -> None:
        """Whatever was ever written right in a directory (`…/`), and what somebody began to write there; not what lies below. Harmless to repeat."""
        self.remove_held(bucket, directory, self.held(bucket, directory))

    def remove_held(self, bucket: str, directory: str, held: Iterable[HeldVersion]) -> None:
        """`remove_files`, but of what was written no more than was `held` by then."""
        for one in held:
            if "/" not in one.version.key.removeprefix(directory):
                remove(self._client, one)
        writer.abort_uploads_in(self._client, bucket, directory)

    def remove_replaced(self, what: HeldVersion) -> bool:
        """What lay at a key before `open_write`: False where the bucket keeps it as an older version that can't be named."""
        return remove_replaced(self._client, what)

    def open_write(
        self, bucket: str, key: str, content_type: str = CSV, metadata: Mapping[str, str] = NO_METADATA
    ) -> AbstractContextManager[writer.ObjectWriter]:
        """`with store.open_write(…) as out: out.write(data)`: visible whole at the end of the block, not at all if it raises (SPEC E4)."""
        return writer.open_write(self._client, bucket, key, content_type, metadata)

    def abort_uploads(self, bucket: str, key: str, upload_id: str = "") -> None:
        """Of that upload to the key, or of all, nothing stays, and it never becomes visible. One that is over is no error."""
        writer.abort_uploads(self._client, bucket, key, upload_id)

    def metadata(self, bucket: str, key: str) -> dict[str, str]:
        """What the present object was written with. TerminalError NO_SUCH_OBJECT…"""
        return listing.described(self._client, bucket, key)[1]
