"""What is in a bucket, page by page. Nothing here ever enters a `_headrace/` directory (SPEC I3)."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from headrace.errors import TerminalError
from headrace.file_selection import OWN_DIRECTORY, is_own
from object_store.refusals import DENIED, NOT_FOUND, code_of, explain, explained, not_s3
from object_store.versions import ObjectVersion, pinning_version, plain_etag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

_LAST_CHARACTER = "\U0010ffff"


def list_buckets(client: S3Client, server: str) -> list[str]:
    """Names of all buckets of the account. TerminalError LIST_BUCKETS_DENIED where the key may not see them (SPEC C5)."""
    try:
        with explained("listing the buckets of", server):
            return _bucket_names(client)
    except TerminalError as error:
        if error.code not in ("ACCESS_DENIED", "NOT_SUPPORTED"):
            raise
        message = f"the key may not list the buckets of {server} (s3:ListAllMyBuckets)."
        raise TerminalError(message, code="LIST_BUCKETS_DENIED", hint="Type the bucket's name instead: that still works.") from error


def list_objects(client: S3Client, bucket: str, prefix: str) -> Iterator[ObjectVersion]:
    """All objects whose key starts with `prefix`, below it too, in the order of their keys. Directory placeholders (`…/`) are left out."""
    return _pages(client, bucket, {"Prefix": prefix})


def list_directory(client: S3Client, bucket: str, prefix: str) -> Iterator[ObjectVersion]:
    """Like `list_objects`, without what lies below a further /. So a deep tree under the directory costs nothing."""
    return _pages(client, bucket, {"Prefix": prefix, "Delimiter": "/"})


def head(client: S3Client, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion:
    """The object's present version (or the one named). TerminalError NO_SUCH_OBJECT, NO_SUCH_BUCKET, ACCESS_DENIED…"""
    return described(client, bucket, key, version_id)[0]


def described(client: S3Client, bucket: str, key: str, version_id: str | None = None) -> tuple[ObjectVersion, dict[str, str]]:
    """`head`, with the object's metadata."""
    what: dict[str, Any] = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
    where = f"s3://{bucket}/{key}"
    with explained("looking at", where):
        try:
            answer: Any = client.head_object(**what)
        except ClientError as error:
            if not code_of(error).isdigit():
                raise
            # The answer to HEAD has no body, so it says 403 or 404 but not why. GET says it; its body is not read.
            answer = client.get_object(**what)
            answer["Body"].close()
    if "LastModified" not in answer or not answer.get("ETag"):
        raise not_s3("looking at", where)
    version = ObjectVersion(
        bucket=bucket,
        key=key,
        version_id=pinning_version(answer.get("VersionId")),
        etag=plain_etag(answer["ETag"]),
        size=answer["ContentLength"],
        last_modified=answer["LastModified"].astimezone(UTC),
    )
    return version, dict(answer.get("Metadata", {}))


def _bucket_names(client: S3Client) -> list[str]:
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = client.list_buckets(**token)  # type: ignore[arg-type]
        names += [bucket["Name"] for bucket in answer.get("Buckets", []) if "Name" in bucket]
        if not answer.get("ContinuationToken"):
            return names
        token = {"ContinuationToken": answer["ContinuationToken"]}


def _pages(client: S3Client, bucket: str, what: dict[str, str]) -> Iterator[ObjectVersion]:
    """Where a page ends inside a `_headrace/` directory the next one starts behind it, so that rejects of years are not paged through."""
    jump = ""
    next_page: dict[str, str] = {}
    jumping = True
    while True:
        page = _page(client, bucket, what | next_page)
        objects = page.get("Contents", [])
        for listed in objects:
            key = listed["Key"]
            if key <= jump:
                jumping = False  # the server ignores StartAfter and began again: pass over what was given, and don't try that again
            elif not is_own(key) and not key.endswith("/"):
                etag, size = plain_etag(listed.get("ETag", "")), listed.get("Size", 0)
                yield ObjectVersion(bucket, key, None, etag, size, listed["LastModified"].astimezone(UTC))
        if not page.get("IsTruncated"):
            return
        last = objects[-1]["Key"] if objects else ""
        if jumping and is_own(last):
            jump = _behind_own_directory(last)
            next_page = {"StartAfter": jump}
        else:
            next_page = {"ContinuationToken": page["NextContinuationToken"]}


def _page(client: S3Client, bucket: str, what: dict[str, str]) -> ListObjectsV2OutputTypeDef:
    try:
        page = client.list_objects_v2(Bucket=bucket, **what)  # type: ignore[arg-type]
    except (BotoCoreError, ResponseParserError) as error:
        raise explain(error, "listing", f"s3://{bucket}/{what['Prefix']}") from error
    except ClientError as error:
        if code_of(error) in NOT_FOUND:
            raise not_s3("listing", f"s3://{bucket}/") from error
        if code_of(error) in DENIED:
            message = f"the key may not list the bucket {bucket} (s3:ListBucket)."
            raise TerminalError(message, code="ACCESS_DENIED", hint="Give it that permission; a scan needs it.") from error
        raise explain(error, "listing", f"s3://{bucket}/{what['Prefix']}") from error
    if not page.keys() & {"Name", "KeyCount", "IsTruncated", "Contents"}:
        raise not_s3("listing", f"s3://{bucket}/")  # rather than an empty bucket, where a scan would find nothing to do
    return page


def _behind_own_directory(key: str) -> str:
    end = f"/{key}".index(f"/{OWN_DIRECTORY}/") + len(OWN_DIRECTORY) + 1
    return key[:end] + _LAST_CHARACTER
