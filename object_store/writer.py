"""Writes an object of any size with bounded memory: a reader sees the old object or the new one, whole (SPEC E4)."""

from __future__ import annotations

import base64
import hashlib
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from object_store.refusals import code_of, explained
from object_store.versions import plain_etag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

PART_BYTES = 8 << 20
"""What is held in memory. S3 wants 5 MiB at least."""
_PARTS_PER_SIZE = 2_000
"""After so many parts the part size doubles: 10,000 parts, which is S3's limit, then hold 500 GB."""

_log = logging.getLogger(__name__)


class ObjectWriter:
    """Takes the bytes of one new object. Made by `open_write`."""

    def __init__(self, client: S3Client, bucket: str, key: str, content_type: str) -> None:
        self._client = client
        self._object: Any = {"Bucket": bucket, "Key": key}
        self._content_type = content_type
        self._where = f"s3://{bucket}/{key}"
        self._buffer = bytearray()
        self._upload: Any = {}
        self._parts: list[Any] = []
        self._digests: list[bytes] = []
        self.size = 0
        """Bytes written so far."""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Takes all of `data`; sends a part whenever enough has come together. TransientError or TerminalError as for any request."""
        self._buffer += data
        size = memoryview(data).nbytes
        self.size += size
        while len(self._buffer) >= (part_bytes := PART_BYTES << (len(self._parts) // _PARTS_PER_SIZE)):
            part = bytes(memoryview(self._buffer)[:part_bytes])
            del self._buffer[:part_bytes]
            with explained("writing", self._where):
                self._send(part)
        return size

    def _send(self, part: bytes) -> None:
        if not self._upload:
            created = self._client.create_multipart_upload(**self._object, ContentType=self._content_type)
            self._upload = self._object | {"UploadId": created["UploadId"]}
        number, digest = len(self._parts) + 1, _md5(part)
        sent = self._client.upload_part(**self._upload, PartNumber=number, Body=part, ContentMD5=_base64(digest))
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._digests.append(digest)

    def finish(self) -> None:
        """Makes the object visible."""
        with explained("writing", self._where):
            last = bytes(self._buffer)
            self._buffer.clear()
            if not self._upload:
                self._client.put_object(**self._object, Body=last, ContentType=self._content_type, ContentMD5=_base64(_md5(last)))
            else:
                if last:
                    self._send(last)
                self._complete()

    def _complete(self) -> None:
        try:
            self._client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": self._parts})
        except ClientError as error:
            # A retry, by the client itself, of a completion whose answer was lost finds no upload any more: look whether it is done.
            if code_of(error) != "NoSuchUpload" or not self._is_there():
                raise

    def _is_there(self) -> bool:
        expected = f"{_md5(b''.join(self._digests)).hex()}-{len(self._parts)}"
        return plain_etag(self._client.head_object(**self._object)["ETag"]) == expected

    def abort(self) -> None:
        """Leaves nothing behind; what was at the key before stays. A failure is logged: the reason of the abort matters more."""
        self._buffer.clear()
        if not self._upload:
            return
        try:
            self._client.abort_multipart_upload(**self._upload)
        except (ClientError, BotoCoreError) as error:
            _log.warning("an incomplete upload to %s could not be removed (%s); a lifecycle rule should", self._where, type(error).__name__)


@contextmanager
def open_write(client: S3Client, bucket: str, key: str, content_type: str) -> Iterator[ObjectWriter]:
    """The object is written whole when the block ends well, not at all when it raises."""
    writer = ObjectWriter(client, bucket, key, content_type)
    try:
        yield writer
        writer.finish()
    except BaseException:
        writer.abort()
        raise


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
