"""Writes an object of any size with bounded memory: a reader sees the old object or the new one, whole (SPEC E4)."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from object_store.refusals import NOT_FOUND, code_of, explained
from object_store.versions import plain_etag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_s3 import S3Client

PART_BYTES = 8 << 20
"""What is held in memory. S3 wants 5 MiB at least."""
_PARTS_PER_SIZE = 2_000
"""After so many parts the part size doubles: 10,000 parts, which is S3's limit, then hold 500 GB."""

_log = logging.getLogger(__name__)


class ObjectWriter:
    """Takes the bytes of one new object. Made by `open_write`."""

    def __init__(self, client: S3Client, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]) -> None:
        self._client = client
        self._object: Any = {"Bucket": bucket, "Key": key}
        self._headers: Any = {"ContentType": content_type, "Metadata": dict(metadata)}
        self._where = f"s3://{bucket}/{key}"
        self._part = bytearray()
        self._held = 0
        self._upload: Any = {}
        self._parts: list[Any] = []
        self._ended = False
        self.size = 0
        """Bytes written so far."""

    def begin(self) -> str:
        """Begins the upload whatever the size of the object, and gives its id: who has that can abort it, and then it never becomes visible."""
        with explained("writing", self._where):
            self._begin()
        return str(self._upload["UploadId"])

    def _begin(self) -> None:
        created = self._client.create_multipart_upload(**self._object, **self._headers)
        self._upload = self._object | {"UploadId": created["UploadId"]}

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Takes all of `data`; sends a part whenever enough has come together. TransientError or TerminalError as for any request."""
        rest = memoryview(data).cast("B")
        self.size += len(rest)
        while rest:
            # One buffer for all parts: none grows, none is copied but once.
            if len(self._part) < (part_bytes := PART_BYTES << (len(self._parts) // _PARTS_PER_SIZE)):
                self._part = bytearray(part_bytes)
            taken = rest[: len(self._part) - self._held]
            self._part[self._held : self._held + len(taken)] = taken
            self._held += len(taken)
            rest = rest[len(taken) :]
            if self._held == len(self._part):
                with explained("writing", self._where):
                    self._send(self._part)
                self._held = 0
        return memoryview(data).nbytes

    def _send(self, part: bytes | bytearray) -> None:
        if not self._upload:
            self._begin()
        number = len(self._parts) + 1
        body: Any = part  # botocore takes a bytearray as well
        sent = self._client.upload_part(**self._upload, PartNumber=number, Body=body)
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    def finish(self) -> None:
        """Makes the object visible; again changes nothing."""
        if self._ended:
            return
        with explained("writing", self._where):
            last = bytes(memoryview(self._part)[: self._held])
            self._held = 0
            if not self._upload:
                self._client.put_object(**self._object, Body=last, **self._headers)
            else:
                if last or not self._parts:
                    self._send(last)
                self._complete()
        self._ended = True

    def _complete(self) -> None:
        try:
            self._client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": self._parts})
        except ClientError as error:
            # A retry, by the client itself, of a completion whose answer was lost finds no upload any more: look whether it is done.
            if code_of(error) != "NoSuchUpload" or not self._is_there():
                raise

    def _is_there(self) -> bool:
        """S3 makes the ETag of the parts': their MD5s, and the MD5 of these. (Not of what is encrypted by a KMS: there nobody can tell.)"""
        try:
            digests = bytes.fromhex("".join(plain_etag(one["ETag"]) for one in self._parts))
        except ValueError:
            return False
        expected = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(self._parts)}"
        return plain_etag(self._client.head_object(**self._object)["ETag"]) == expected

    def abort(self) -> None:
        """Leaves nothing behind; what was at the key before stays. A failure is logged: the reason of the abort matters more."""
        self._held = 0
        if not self._upload or self._ended:
            return
        try:
            self._client.abort_multipart_upload(**self._upload)
        except (ClientError, BotoCoreError) as error:
            _log.warning("an incomplete upload to %s could not be removed (%s); a lifecycle rule should", self._where, type(error).__name__)


@contextmanager
def open_write(client: S3Client, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]) -> Iterator[ObjectWriter]:
    """The object is written whole when the block ends well, not at all when it raises."""
    writer = ObjectWriter(client, bucket, key, content_type, metadata)
    try:
        yield writer
        writer.finish()
    except BaseException:
        writer.abort()
        raise


def abort_uploads(client: S3Client, bucket: str, key: str, upload_id: str = "") -> None:
    """Of an upload that somebody has left, nothing stays, and it can't become visible any more. `upload_id` empty: all uploads to that key.

    TransientError, TerminalError (ACCESS_DENIED: the key may not abort, or list uploads). One that is over already is no error.
    """
    with explained("aborting an upload to", f"s3://{bucket}/{key}"):
        if upload_id:
            _abort(client, bucket, key, upload_id)
            return
        for place, one in _uploads(client, bucket, key):
            if place == key:
                _abort(client, bucket, place, one)


def abort_uploads_in(client: S3Client, bucket: str, directory: str) -> None:
    """`abort_uploads` for every key right in a directory (`…/`)."""
    with explained("aborting uploads to", f"s3://{bucket}/{directory}"):
        for key, one in _uploads(client, bucket, directory):
            if "/" not in key.removeprefix(directory):
                _abort(client, bucket, key, one)


def _abort(client: S3Client, bucket: str, key: str, upload_id: str) -> None:
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except ClientError as error:
        if code_of(error) not in ("NoSuchUpload", *NOT_FOUND):
            raise


def _uploads(client: S3Client, bucket: str, prefix: str) -> list[tuple[str, str]]:
    """Key and id of each that is under way."""
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    return [(one["Key"], one["UploadId"]) for page in pages for one in page.get("Uploads", [])]
