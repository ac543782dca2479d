"""Everything that a bucket holds at some keys, versions that nobody sees any more too, and its removal: what an erasure needs (SPEC P2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from object_store.listing import head
from object_store.refusals import DENIED, NOT_OFFERED, code_of, explain, explained
from object_store.versions import ObjectVersion, plain_etag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

UNVERSIONED = "null"
"""The id of the one version that is overwritten, where a bucket keeps none, or kept none once."""


@dataclass(frozen=True)
class HeldVersion:
    """`present`: the one that a reader of the key gets. `identity`: what the server calls it; None where it does not list versions."""

    version: ObjectVersion
    present: bool
    identity: str | None


def held_versions(client: S3Client, bucket: str, prefix: str) -> list[HeldVersion]:
    """All versions of every key that starts with `prefix`, inside `_headrace/` too. Only present ones where the server does not list versions,
    or the key may not see them (s3:ListBucketVersions)."""
    where = f"s3://{bucket}/{prefix}"
    try:
        return list(_versions(client, bucket, prefix))
    except ClientError as error:
        if code_of(error) not in DENIED | NOT_OFFERED:
            raise explain(error, "listing the versions of", where) from error
    except BotoCoreError as error:
        raise explain(error, "listing the versions of", where) from error
    with explained("listing", where):
        return list(_present_ones(client, bucket, prefix))


def remove(client: S3Client, what: HeldVersion) -> None:
    """This very version, for good; harmless to repeat."""
    named: Any = {"Bucket": what.version.bucket, "Key": what.version.key} | ({"VersionId": what.identity} if what.identity else {})
    with explained("deleting", what.version.location):
        client.delete_object(**named)


def remove_replaced(client: S3Client, what: HeldVersion) -> bool:
    """`what` was present, and another has been written at its key: False where it is still there, out of sight, and can't be named."""
    now = head(client, what.version.bucket, what.version.key).version_id
    if what.identity is None:
        return now is None
    if what.identity != UNVERSIONED or now is not None:
        remove(client, what)
    return True


def _versions(client: S3Client, bucket: str, prefix: str) -> Iterator[HeldVersion]:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Versions", []):
            found = _version(bucket, one)
            # The present one is read by its key alone: not every server knows the id of a version where it keeps none.
            yield HeldVersion(found if one["IsLatest"] else replace(found, version_id=one["VersionId"]), one["IsLatest"], one["VersionId"])


def _present_ones(client: S3Client, bucket: str, prefix: str) -> Iterator[HeldVersion]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", []):
            yield HeldVersion(_version(bucket, one), present=True, identity=None)


def _version(bucket: str, listed: Any) -> ObjectVersion:
    written = listed["LastModified"].astimezone(UTC)
    return ObjectVersion(bucket, listed["Key"], None, plain_etag(listed.get("ETag", "")), listed.get("Size", 0), written)
