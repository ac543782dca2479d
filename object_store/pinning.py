"""Holds an object as it is for as long as an import takes (SPEC I12).

In a bucket with versions the version id does. In one without, a server-side copy under `_headrace/pinned/` does, made only if the source
still has the ETag that was asked for. Where neither is possible the object itself is read, and a replacement is noticed by its ETag.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from headrace.errors import SourceChangedError, TerminalError
from headrace.file_selection import OWN_DIRECTORY
from object_store.listing import described, head
from object_store.refusals import DENIED, NOT_FOUND, NOT_OFFERED, PRECONDITION_FAILED, code_of, explain, explained
from object_store.writer import abort_uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from object_store.versions import ObjectVersion

PINNED_DIRECTORY = f"{OWN_DIRECTORY}/pinned/"
_ETAG_KEY = "headrace-source-etag"
_NOT_POSSIBLE = DENIED | NOT_OFFERED | {"KeyTooLongError"}
_MOST_PARTS = 10_000
_NO_ETAG = "0" * 32
"""No object has it (an MD5 of zeros)."""


@dataclass(frozen=True)
class CopyLimits:
    """`single_bytes`: up to there one request copies (S3 allows 5 GiB; less, against time-outs); `part_bytes`: beyond it."""

    single_bytes: int = 1 << 30
    part_bytes: int = 256 << 20
    threads: int = 4


def pinned_key(key: str, owner: str) -> str:
    """`exports/a.csv`, `import-7` → `exports/_headrace/pinned/import-7/a.csv`. `owner` is one path segment, unique per import."""
    if not owner or "/" in owner or owner in (".", ".."):
        raise ValueError(f"an owner of pinned objects is one path segment, not {owner!r}")
    directory, slash, name = key.rpartition("/")
    return f"{directory}{slash}{PINNED_DIRECTORY}{owner}/{name}"


def is_pinned(version: ObjectVersion) -> bool:
    return f"/{PINNED_DIRECTORY}" in f"/{version.key}"


def pin(client: S3Client, version: ObjectVersion, owner: str, limits: CopyLimits | None = None) -> ObjectVersion:
    """What to read instead of `version`, with the same bytes, for as long as the import takes.

    Idempotent: a second call with the same owner finds the first one's copy, even if the source was replaced or deleted since.
    SourceChangedError if the source no longer is `version` and no copy of it exists. Returns an object that can be overwritten (the
    source itself) only where the key may not copy or the server can't; reading it still never mixes two versions.
    """
    if version.version_id is not None or is_pinned(version):
        return version
    return _Pinning(client, version, pinned_key(version.key, owner), limits or CopyLimits()).run()


def unpin(client: S3Client, version: ObjectVersion) -> None:
    """Deletes a copy that `pin` made. Anything that lies elsewhere is left alone, so it is safe to call with what `pin` returned."""
    if is_pinned(version):
        with explained("deleting", version.location):
            client.delete_object(Bucket=version.bucket, Key=version.key)


def drop_pin(client: S3Client, bucket: str, key: str, owner: str) -> None:
    """The copy that `pin` made of an object for this owner, or began to make in parts. Where there is none nothing happens."""
    target = pinned_key(key, owner)
    with suppress(TerminalError):  # a key may delete, and not list or abort uploads
        abort_uploads(client, bucket, target)
    with explained("deleting", f"s3://{bucket}/{target}"):
        client.delete_object(Bucket=bucket, Key=target)


class _Pinning:
    """One call of `pin`: from `source` to the key `target` of the same bucket."""

    def __init__(self, client: S3Client, source: ObjectVersion, target: str, limits: CopyLimits) -> None:
        self._client = client
        self._source = source
        self._target = target
        self._limits = limits

    def run(self) -> ObjectVersion:
        if (found := self._found()) is not None:
            return found
        before = self._present_source()
        if before.version_id is not None:
            return before
        try:
            self._copy()
        except ClientError as error:
            return self._without_copy(error)
        try:
            made, _ = described(self._client, self._source.bucket, self._target)
        except TerminalError:  # a key that may write under _headrace/ but not read there
            self._forget_copy()
            return self._source
        if made.size == self._source.size and (
            made.etag == self._source.etag or self._unwritten_since(before) or self._conditions_are_kept()
        ):
            return made
        self._forget_copy()
        raise self._changed()

    def _found(self) -> ObjectVersion | None:
        """The copy that an earlier call made of this very source, if it is proven to be one.

        The condition on the copy proves it, but some servers ignore conditions. Equal ETags prove it, but the ETag of a multi-part or
        encrypted object differs from its copy's. A source that is older than its copy proves it, but it may be gone.
        """
        try:
            copy, metadata = described(self._client, self._source.bucket, self._target)
        except TerminalError:  # none, or 403: without s3:ListBucket a missing object is answered like that
            return None
        if metadata.get(_ETAG_KEY) != self._source.etag or copy.size != self._source.size:
            return None
        return copy if copy.etag == self._source.etag or self._older_than(copy) or self._conditions_are_kept() else None

    def _present_source(self) -> ObjectVersion:
        try:
            present = head(self._client, self._source.bucket, self._source.key)
        except TerminalError as error:
            if error.code == "NO_SUCH_OBJECT":
                raise self._changed() from error
            raise
        if present.etag != self._source.etag:
            raise self._changed()
        return present

    def _unwritten_since(self, before: ObjectVersion) -> bool:
        with suppress(SourceChangedError):
            return self._present_source().last_modified == before.last_modified
        return False

    def _older_than(self, copy: ObjectVersion) -> bool:
        """Truly older: within one second (the clock's step in an answer) the order is not known."""
        with suppress(SourceChangedError):
            return self._present_source().last_modified < copy.last_modified
        return False

    def _conditions_are_kept(self) -> bool:
        """Whether this server refuses a copy whose condition doesn't hold: asked by one that can't."""
        probe = f"{self._target}.probe"
        try:
            if self._source.size <= self._limits.single_bytes:
                self._client.copy_object(Bucket=self._source.bucket, Key=probe, **self._from(self._target, _NO_ETAG))
            else:
                self._copy_in_parts(probe, self._from(self._target, _NO_ETAG))
        except ClientError as error:
            return code_of(error) in PRECONDITION_FAILED
        with explained("deleting", f"s3://{self._source.bucket}/{probe}"):
            self._client.delete_object(Bucket=self._source.bucket, Key=probe)
        return False

    def _copy(self) -> None:
        """ClientError for the server's refusals; an outage is explained already."""
        origin = self._from(self._source.key, self._source.etag)
        try:
            if self._source.size > self._limits.single_bytes:
                self._copy_in_parts(self._target, origin)
                return
            self._client.copy_object(
                Bucket=self._source.bucket,
                Key=self._target,
                Metadata=self._metadata,
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",  # the source's tags would need s3:GetObjectTagging, and may start someone's lifecycle rule
                **origin,
            )
        except BotoCoreError as error:
            raise explain(error, "pinning", self._source.location) from error

    def _copy_in_parts(self, key: str, origin: Any) -> None:
        """Each part carries the condition, so that no two versions can meet in one copy."""
        upload: Any = {"Bucket": self._source.bucket, "Key": key}
        upload["UploadId"] = self._client.create_multipart_upload(**upload, Metadata=self._metadata)["UploadId"]

        def copy_part(number: int) -> Any:
            first = (number - 1) * step
            last = min(first + step, self._source.size) - 1
            part = self._client.upload_part_copy(**upload, **origin, PartNumber=number, CopySourceRange=f"bytes={first}-{last}")
            return {"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]}

        try:
            step = max(self._limits.part_bytes, -(-self._source.size // _MOST_PARTS))
            numbers = range(1, -(-self._source.size // step) + 1)
            with ThreadPoolExecutor(self._limits.threads) as pool:
                parts = list(pool.map(copy_part, numbers))
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**upload)
            raise

    @property
    def _metadata(self) -> dict[str, str]:
        return {_ETAG_KEY: self._source.etag}

    def _from(self, key: str, etag: str) -> Any:
        return {"CopySource": {"Bucket": self._source.bucket, "Key": key}, "CopySourceIfMatch": f'"{etag}"'}

    def _without_copy(self, error: ClientError) -> ObjectVersion:
        code = code_of(error)
        if code in PRECONDITION_FAILED | NOT_FOUND:
            raise self._changed() from error
        if code in _NOT_POSSIBLE:
            return self._source
        raise explain(error, "pinning", self._source.location) from error

    def _forget_copy(self) -> None:
        with suppress(ClientError, BotoCoreError):
            self._client.delete_object(Bucket=self._source.bucket, Key=self._target)

    def _changed(self) -> SourceChangedError:
        message = f"{self._source.location} was replaced or deleted before it could be pinned (its ETag was {self._source.etag})."
        return SourceChangedError(message, hint="Import the new object.")
