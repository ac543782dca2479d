"""Streams one version of an object, and nothing else: never a byte of another version, never a short end taken for the end (SPEC I12)."""

from __future__ import annotations

import io
import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from headrace.errors import HeadraceError, SourceChangedError, TransientError
from object_store.refusals import NOT_FOUND, OUT_OF_RANGE, PRECONDITION_FAILED, code_of, explain
from object_store.versions import plain_etag

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

    from object_store.versions import ObjectVersion

_BREAKS = (BotoCoreError, HTTPError, OSError)
"""What a connection that breaks in the middle of a body can raise; urllib3's own errors are not all translated by botocore."""
_DISCARD_BYTES = 1 << 20


@dataclass(frozen=True)
class Patience:
    """How often a broken stream is resumed without one new byte in between, and the wait before each attempt: doubling, with jitter."""

    attempts: int = 8
    first_wait_seconds: float = 0.2
    longest_wait_seconds: float = 10.0

    def wait(self, failures: int) -> None:
        seconds = min(self.first_wait_seconds * 2 ** (failures - 1), self.longest_wait_seconds)
        time.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 jitter, no secret


class ObjectReader(io.RawIOBase):
    """The bytes of `version`, from the first to the last. Not seekable. Close it early and the rest is not transferred.

    A stream that breaks, or ends short, is taken up again where it stopped (Range). Every request carries If-Match, and the ETag of every
    answer is compared here as well, since some servers ignore If-Match. Raises SourceChangedError when the version is gone or replaced,
    TransientError when `patience` is used up without progress, TerminalError for refusals.
    """

    def __init__(self, client: S3Client, version: ObjectVersion, patience: Patience | None = None) -> None:
        super().__init__()
        self.version = version
        self.name = version.location
        self._client = client
        self._patience = patience or Patience()
        self._position = 0
        self._failures = 0
        self._body: StreamingBody | None = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """Bytes delivered so far."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fills the start of `buffer`, returns how much; 0 only at the object's end."""
        if self.closed:
            raise ValueError(f"{self.name} is closed")
        view = memoryview(buffer).cast("B")
        if not len(view):
            return 0
        while True:
            try:
                data = self._some(len(view))
            except TransientError as error:
                self._give_up_or_wait(error)
                continue
            view[: len(data)] = data
            self._position += len(data)
            if data:
                self._failures = 0
            return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _some(self, at_most: int) -> bytes:
        """Up to `at_most` bytes; none at the end. TransientError when the connection broke or ended short."""
        # The body is asked for at the end too: an object that is longer than the version says shows up here.
        if self._body is None:
            if self._position and self._position == self.version.size:
                return b""
            self._body = self._request()
        try:
            data: bytes = self._body.read(at_most)
        except _BREAKS as error:
            self._drop()
            raise TransientError(f"reading {self.name}: the connection broke ({type(error).__name__}).") from error
        if self._position + len(data) > self.version.size:
            raise self._changed("it holds more bytes than it had")
        if not data and self._position < self.version.size:
            self._drop()
            raise TransientError(f"reading {self.name}: the answer ended before the object did.")
        return data

    def _request(self) -> StreamingBody:
        wanted: dict[str, str] = {"IfMatch": f'"{self.version.etag}"'}
        if self.version.version_id is not None:
            wanted["VersionId"] = self.version.version_id
        if self._position:
            wanted["Range"] = f"bytes={self._position}-"
        try:
            answer = self._client.get_object(Bucket=self.version.bucket, Key=self.version.key, **wanted)  # type: ignore[arg-type]
        except ClientError as error:
            raise self._refused(error) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise explain(error, "reading", self.name) from error
        try:
            return self._checked(answer)
        except BaseException:
            answer["Body"].close()
            raise

    def _checked(self, answer: GetObjectOutputTypeDef) -> StreamingBody:
        """The body of an answer that is proven to be of this version and to start at the position."""
        etag = plain_etag(answer.get("ETag", ""))
        if etag != self.version.etag:
            raise self._changed(f"its ETag was {self.version.etag}, is {etag or 'missing'}")
        start, total = 0, answer.get("ContentLength", self.version.size)
        if answer["ResponseMetadata"]["HTTPStatusCode"] == 206:
            said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.get("ContentRange", ""))
            if said is None or int(said[1]) != self._position:
                raise TransientError(f"reading {self.name}: the server answered another range than the one asked for.")
            start, total = int(said[1]), self.version.size if said[2] == "*" else int(said[2])
        if total != self.version.size:
            raise self._changed(f"it had {self.version.size} bytes, has {total}")
        body = answer["Body"]
        self._discard(body, self._position - start)
        return body

    def _discard(self, body: StreamingBody, count: int) -> None:
        """Skips what was delivered before, when the server ignored Range and sent all again."""
        while count:
            try:
                skipped = body.read(min(count, _DISCARD_BYTES))
            except _BREAKS as error:
                raise TransientError(f"reading {self.name}: the connection broke ({type(error).__name__}).") from error
            if not skipped:
                raise TransientError(f"reading {self.name}: the answer ended before the object did.")
            count -= len(skipped)

    def _refused(self, error: ClientError) -> HeadraceError:
        code = code_of(error)
        if code in PRECONDITION_FAILED:
            return self._changed("another object has taken its place")
        if code in NOT_FOUND:
            return self._changed("it was deleted")
        if code in OUT_OF_RANGE:  # some servers look at Range before If-Match: a shorter object has taken its place
            return self._changed("a shorter object has taken its place")
        return explain(error, "reading", self.name)

    def _changed(self, how: str) -> SourceChangedError:
        at = f"after {self._position} of {self.version.size} bytes" if self._position else "before its first byte was read"
        return SourceChangedError(
            f"{self.name} changed {at}: {how}.", hint="Import the new object; leave a file alone while it is imported."
        )

    def _give_up_or_wait(self, error: TransientError) -> None:
        self._failures += 1
        if self._failures >= self._patience.attempts:
            message = (
                f"{error.message} {self._failures} attempts in a row brought nothing, at byte {self._position} of {self.version.size}."
            )
            raise TransientError(message, hint="Check the network and the server; the import can be started again.") from error
        self._patience.wait(self._failures)

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
