"""An object stays what it was for as long as an import takes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from headrace.errors import SourceChangedError, TerminalError
from object_store import pinning
from object_store.access import S3Access
from object_store.store import ObjectStore
from tests.contract.conftest import IMPATIENT
from tests.servers.s3_gateway import Answer, Request, Rule, S3Gateway, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from object_store.versions import ObjectVersion

KEY = "exports/ä file+1.csv"
OWNER = "import-7"
PINNED = "exports/_headrace/pinned/import-7/ä file+1.csv"
OLD, NEW = b"id,tier\n1,gold\n", b"id,tier\n1,iron\n"
MIB = 1 << 20


def read(store: ObjectStore, version: ObjectVersion) -> bytes:
    with io.BufferedReader(store.open(version)) as stream:
        return stream.read()


def keys(client: S3Client, bucket: str) -> set[str]:
    return {each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])}


def is_copy(request: Request) -> bool:
    return "x-amz-copy-source" in request.headers


def keep_conditions(client: S3Client, bucket: str) -> Rule:
    """A server that keeps x-amz-copy-source-if-match, as Amazon's does and the one of these tests doesn't."""

    def rule(request: Request) -> Answer | None:
        if not is_copy(request):
            return None
        wanted = request.headers["x-amz-copy-source-if-match"]
        key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").split("/", 1)[1]
        return None if client.head_object(Bucket=bucket, Key=key)["ETag"] == wanted else refusal(412, "PreconditionFailed")

    return rule


@pytest.fixture
def gateway_store(gateway: S3Gateway) -> ObjectStore:
    """Copies in parts of 5 MiB above 6 MiB, so that a test of a multi-part copy is quick."""
    access = S3Access(gateway.url, "us-east-1", "tester", "a-secret-of-the-tests")
    limits = pinning.CopyLimits(single_bytes=6 * MIB, part_bytes=5 * MIB)
    return ObjectStore(access, patience=IMPATIENT, copy_limits=limits, request_attempts=1)


def put_parts(client: S3Client, bucket: str, first: bytes, second: bytes) -> None:
    """An object in two parts, whose ETag its copy will not have."""
    upload: Any = {"Bucket": bucket, "Key": KEY}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    parts: Any = [
        {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate((first, second), start=1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@pytest.mark.spec("I12")
def test_with_versions_nothing_is_copied(store: ObjectStore, plain_client: S3Client, versioned_bucket: str) -> None:
    plain_client.put_object(Bucket=versioned_bucket, Key=KEY, Body=OLD)
    version = store.head(versioned_bucket, KEY)
    pinned = store.pin(version, OWNER)
    assert pinned == version
    listed = next(store.list_objects(versioned_bucket))
    assert store.pin(listed, OWNER).version_id == version.version_id, "a listed object, whose version was not known yet"
    plain_client.put_object(Bucket=versioned_bucket, Key=KEY, Body=NEW)
    assert read(store, pinned) == OLD
    store.unpin(pinned)
    assert keys(plain_client, versioned_bucket) == {KEY}
    assert read(store, pinned) == OLD


@pytest.mark.spec("I12")
def test_without_versions_a_copy_is_made_and_removed(store: ObjectStore, plain_client: S3Client, bucket: str) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    pinned = store.pin(store.head(bucket, KEY), OWNER)
    assert pinned.key == PINNED
    assert pinned.size == len(OLD)
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=NEW)
    assert read(store, pinned) == OLD
    assert [each.key for each in store.list_objects(bucket)] == [KEY]
    assert store.pin(pinned, OWNER) == pinned, "a copy is not copied again"
    store.unpin(pinned)
    assert keys(plain_client, bucket) == {KEY}
    store.unpin(pinned)


@pytest.mark.spec("I12")
def test_unpin_leaves_every_other_object_alone(store: ObjectStore, plain_client: S3Client, bucket: str) -> None:
    others = {KEY, "_headrace/rejects/a.csv", "pinned/a.csv", "my_headrace/pinned/a.csv", "x/_headrace/pinned"}
    for key in others:
        plain_client.put_object(Bucket=bucket, Key=key, Body=OLD)
        store.unpin(store.head(bucket, key))
    assert keys(plain_client, bucket) == others


@pytest.mark.spec("I12")
@pytest.mark.parametrize("conditions", ["kept", "ignored"])
@pytest.mark.parametrize("source", ["replaced", "deleted", "unchanged"])
@pytest.mark.parametrize("shape", ["one part", "two parts", "copied in parts"])
def test_a_second_pin_finds_the_copy_of_the_first(
    gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str, shape: str, source: str, conditions: str
) -> None:
    first, second = {"one part": (OLD, b""), "two parts": (b"a" * 5 * MIB, OLD), "copied in parts": (b"a" * 5 * MIB, b"b" * 2 * MIB)}[shape]
    if conditions == "kept":
        gateway.rules.append(keep_conditions(plain_client, bucket))
    if shape == "one part":
        plain_client.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    else:
        put_parts(plain_client, bucket, first, second)
    version = gateway_store.head(bucket, KEY)
    pinned = gateway_store.pin(version, OWNER)
    assert read(gateway_store, pinned) == first + second
    if source == "replaced":
        plain_client.put_object(Bucket=bucket, Key=KEY, Body=NEW)
    elif source == "deleted":
        plain_client.delete_object(Bucket=bucket, Key=KEY)
    copies = sum(map(is_copy, gateway.seen))
    if source != "unchanged" and conditions == "ignored" and pinned.etag != version.etag:
        # Nothing proves here that the copy is of the version that was asked for: refused rather than guessed.
        with pytest.raises(SourceChangedError):
            gateway_store.pin(version, OWNER)
        return
    again = gateway_store.pin(version, OWNER)
    assert (again.key, again.etag, again.size) == (pinned.key, pinned.etag, pinned.size)
    assert read(gateway_store, again) == first + second
    if pinned.etag == version.etag:
        assert sum(map(is_copy, gateway.seen)) == copies, "found, not made anew"
    assert keys(plain_client, bucket) - {KEY} == {PINNED}, "no probe is left"


@pytest.mark.spec("I12")
def test_a_copy_of_another_version_is_not_used(gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str) -> None:
    gateway.rules.append(keep_conditions(plain_client, bucket))
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    gateway_store.pin(gateway_store.head(bucket, KEY), OWNER)
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=NEW)
    assert len(OLD) == len(NEW)
    assert read(gateway_store, gateway_store.pin(gateway_store.head(bucket, KEY), OWNER)) == NEW


@pytest.mark.spec("I12")
@pytest.mark.parametrize("conditions", ["kept", "ignored"])
def test_replaced_between_listing_and_pin(
    gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str, conditions: str
) -> None:
    if conditions == "kept":
        gateway.rules.append(keep_conditions(plain_client, bucket))
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    version = gateway_store.head(bucket, KEY)
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=NEW)
    with pytest.raises(SourceChangedError) as caught:
        gateway_store.pin(version, OWNER)
    assert f"s3://{bucket}/{KEY}" in str(caught.value)
    assert keys(plain_client, bucket) == {KEY}


@pytest.mark.spec("I12")
@pytest.mark.parametrize("conditions", ["kept", "ignored"])
@pytest.mark.parametrize("parts", [1, 2])
def test_replaced_at_the_very_moment_of_the_copy(
    gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str, conditions: str, parts: int
) -> None:
    old, new = (OLD, NEW) if parts == 1 else (b"o" * 7 * MIB, b"n" * 7 * MIB)

    def replace(request: Request) -> None:
        if is_copy(request) and not request.path.endswith("probe"):
            plain_client.put_object(Bucket=bucket, Key=KEY, Body=new)

    plain_client.put_object(Bucket=bucket, Key=KEY, Body=old)
    version = gateway_store.head(bucket, KEY)
    gateway.rules.append(replace)
    if conditions == "kept":
        gateway.rules.append(keep_conditions(plain_client, bucket))
    with pytest.raises(SourceChangedError):
        gateway_store.pin(version, OWNER)
    assert keys(plain_client, bucket) == {KEY}
    assert plain_client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@pytest.mark.spec("I12")
def test_every_part_of_a_copy_carries_the_condition(
    gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str
) -> None:
    data = b"a" * 5 * MIB + b"b" * 5 * MIB + b"c"
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=data)
    version = gateway_store.head(bucket, KEY)
    pinned = gateway_store.pin(version, OWNER)
    assert read(gateway_store, pinned) == data
    copies = [request.headers for request in gateway.seen if is_copy(request)]
    assert {headers["x-amz-copy-source-range"] for headers in copies} == {
        "bytes=0-5242879",
        "bytes=5242880-10485759",
        "bytes=10485760-10485760",
    }
    assert {headers["x-amz-copy-source-if-match"] for headers in copies} == {f'"{version.etag}"'}


@pytest.mark.spec("I12")
@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (501, "NotImplemented"), (400, "KeyTooLongError")])
def test_where_copying_is_not_possible_the_original_is_read_and_a_replacement_noticed(
    gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str, status: int, code: str
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    gateway.rules.append(lambda request: refusal(status, code) if is_copy(request) else None)
    version = gateway_store.head(bucket, KEY)
    pinned = gateway_store.pin(version, OWNER)
    assert pinned == version
    assert read(gateway_store, pinned) == OLD
    gateway_store.unpin(pinned)
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=NEW)
    with pytest.raises(SourceChangedError):
        read(gateway_store, pinned)


@pytest.mark.spec("I12")
def test_a_copy_that_may_not_be_read_is_not_used(
    gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    gateway.rules.append(
        lambda request: refusal(403, "AccessDenied") if "_headrace" in request.path and request.method in ("GET", "HEAD") else None
    )
    version = gateway_store.head(bucket, KEY)
    assert gateway_store.pin(version, OWNER) == version
    assert keys(plain_client, bucket) == {KEY}


def test_an_outage_while_pinning_is_no_refusal(gateway_store: ObjectStore, gateway: S3Gateway, plain_client: S3Client, bucket: str) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    version = gateway_store.head(bucket, KEY)
    gateway.rules.append(lambda request: refusal(503, "SlowDown") if is_copy(request) else None)
    with pytest.raises(Exception, match="the server can't now") as caught:
        gateway_store.pin(version, OWNER)
    assert not isinstance(caught.value, TerminalError)


def test_an_owner_is_one_segment_of_a_path() -> None:
    assert pinning.pinned_key("a.csv", OWNER) == "_headrace/pinned/import-7/a.csv"
    for owner in ("", "a/b", ".."):
        with pytest.raises(ValueError, match="one path segment"):
            pinning.pinned_key(KEY, owner)
