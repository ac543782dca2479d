"""A file on its way from the client into S3: encrypted, counted, and noted as the job's upload once it is whole (SPEC U5, U6, U10, docs/adr/0022)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from headrace.errors import TerminalError
from headrace.sealing import seal
from headrace.settings import UploadSettings
from object_store.encryption import Encryption
from object_store.store import ObjectStore
from object_store.writer import ObjectWriter
from profile_store import upload_jobs
from profile_store.registration import Source
from profile_store.store import Store
from profile_store.upload_jobs import Changed

ENCRYPTED = "application/octet-stream"


class TooLargeError(TerminalError):
    """More bytes than a file may have: nothing of it is kept."""

    code = "EntityTooLarge"

    def __init__(self, most_bytes: int) -> None:
        super().__init__(
            f"Your proposed upload exceeds the maximum allowed size of {most_bytes:,} bytes.", hint="Upload it in parts, a job for each."
        )


@dataclass(frozen=True, slots=True)
class UploadPlace:
    """Where uploads go: S3 and Redis of the settings. `sealing_key`: 32 bytes, for the keys of uploads."""

    store: Store
    objects: ObjectStore
    settings: UploadSettings
    sealing_key: bytes = field(repr=False)


class ReceivedUpload:
    """Takes the bytes of one file. Made by `receiving`."""

    def __init__(self, out: ObjectWriter, key: bytes, most_bytes: int) -> None:
        self._out = out
        self._encryption = Encryption(key)
        self._most_bytes = most_bytes
        self.size = 0
        self.noted: Changed | None = None
        """Once it is whole: whether it is what the job will import."""

    def write(self, data: bytes) -> None:
        """Raises TooLargeError, and what writing to S3 raises."""
        self.size += len(data)
        if self.size > self._most_bytes:
            raise TooLargeError(self._most_bytes)
        self._out.write(self._encryption.update(data))

    def finish(self) -> None:
        self._out.write(self._encryption.finish())


@contextmanager
def receiving(place: UploadPlace, domain: str, job_id: str, key: bytes) -> Iterator[ReceivedUpload]:
    """What is written in the block becomes the job's upload, whole; where the block raises, nothing is kept. Bounded memory.

    An upload that was there before goes. One that comes when the job has started already goes, too: see `ReceivedUpload.noted`.
    """
    bucket = place.settings.bucket
    name = f"{place.settings.directory_of(domain, job_id)}{secrets.token_hex(8)}.csv"
    with place.objects.open_write(bucket, name, ENCRYPTED) as out:
        received = ReceivedUpload(out, key, place.settings.most_bytes)
        yield received
        received.finish()
    there = place.objects.head(bucket, name)
    source = Source(bucket, name, there.version_id, there.etag, there.size, there.last_modified.isoformat())
    received.noted = upload_jobs.note_upload(place.store, domain, job_id, source, seal(place.sealing_key, key, name))
    if not received.noted.done:
        place.objects.remove_key(bucket, name)
    elif received.noted.before is not None:
        place.objects.remove_key(received.noted.before.bucket, received.noted.before.key)
