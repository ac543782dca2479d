"""An object is written whole or not at all."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from headrace.errors import TerminalError, TransientError
from object_store.writer import PART_BYTES
from tests.servers.s3_gateway import Answer, Request, S3Gateway, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from object_store.store import ObjectStore
    from tests.servers.cut_proxy import CutProxy

KEY = "out/segment ä+1.csv"
MIB = 1 << 20


def content(client: S3Client, bucket: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=KEY)["Body"].read()


def uploads(client: S3Client, bucket: str) -> list[str]:
    return [each["UploadId"] for each in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


@pytest.mark.spec("E4")
@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 5])
def test_what_was_written_is_there(store: ObjectStore, plain_client: S3Client, bucket: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with store.open_write(bucket, KEY) as out:
        for start in range(0, size, 3 * MIB + 1):
            assert out.write(memoryview(data)[start : start + 3 * MIB + 1]) == len(data[start : start + 3 * MIB + 1])
        assert out.size == size
    assert content(plain_client, bucket) == data
    assert plain_client.head_object(Bucket=bucket, Key=KEY)["ContentType"] == "text/csv; charset=utf-8"
    assert uploads(plain_client, bucket) == []


@pytest.mark.spec("E4")
@pytest.mark.parametrize("size", [10, 2 * PART_BYTES])
def test_a_reader_sees_the_old_object_until_the_new_one_is_whole(
    store: ObjectStore, plain_client: S3Client, bucket: str, size: int
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=b"old")
    with store.open_write(bucket, KEY, "application/gzip") as out:
        out.write(b"n" * size)
        assert content(plain_client, bucket) == b"old"
    assert content(plain_client, bucket) == b"n" * size
    assert plain_client.head_object(Bucket=bucket, Key=KEY)["ContentType"] == "application/gzip"


@pytest.mark.spec("E4")
@pytest.mark.parametrize("size", [10, 2 * PART_BYTES + 10])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_nothing(
    store: ObjectStore, plain_client: S3Client, bucket: str, size: int, error: type[BaseException]
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=b"old")

    def write() -> None:
        with store.open_write(bucket, KEY) as out:
            out.write(b"n" * size)
            raise error

    with pytest.raises(error):
        write()
    assert content(plain_client, bucket) == b"old"
    assert uploads(plain_client, bucket) == []


@pytest.mark.spec("E4")
@pytest.mark.parametrize("query", ["partNumber=2", "uploadId"])
def test_an_outage_while_writing_leaves_nothing(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway, query: str
) -> None:
    """`partNumber=2`: of the second part. `uploadId`: of the completion, a POST."""
    method = "PUT" if query.startswith("part") else "POST"
    gateway.rules.append(lambda request: refusal(503, "SlowDown") if request.method == method and query in request.path else None)

    def write() -> None:
        with faulty_store.open_write(bucket, KEY) as out:
            out.write(b"n" * (2 * PART_BYTES + 10))

    with pytest.raises(TransientError, match="writing"):
        write()
    assert plain_client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert uploads(plain_client, bucket) == []


@pytest.mark.spec("E4")
def test_a_completion_whose_answer_was_lost_is_not_a_failure(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway
) -> None:
    """The client's own retry of the completion is told that there is no such upload: it was completed the first time."""

    def lose_the_answer(request: Request) -> Answer | None:
        if request.method != "POST" or "uploadId" not in request.path:
            return None
        gateway.forward(request)
        return refusal(404, "NoSuchUpload")

    gateway.rules.append(lose_the_answer)
    with faulty_store.open_write(bucket, KEY) as out:
        out.write(b"n" * (PART_BYTES + 10))
    assert content(plain_client, bucket) == b"n" * (PART_BYTES + 10)


@pytest.mark.spec("E4")
def test_an_upload_that_vanished_is_a_failure(faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=b"old")
    gateway.rules.append(lambda request: refusal(404, "NoSuchUpload") if request.method == "POST" and "uploadId" in request.path else None)

    def write() -> None:
        with faulty_store.open_write(bucket, KEY) as out:
            out.write(b"n" * (PART_BYTES + 10))

    with pytest.raises(TerminalError, match="NoSuchUpload"):
        write()
    assert content(plain_client, bucket) == b"old"


def test_a_connection_cut_while_sending(faulty_store: ObjectStore, plain_client: S3Client, bucket: str, proxy: CutProxy) -> None:
    def write() -> None:
        with faulty_store.open_write(bucket, KEY) as out:
            out.write(b"n" * (PART_BYTES + 10))

    proxy.cut(PART_BYTES // 2, direction="request")
    with pytest.raises(TransientError):
        write()
    assert plain_client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert uploads(plain_client, bucket) == []
    write()
    assert len(content(plain_client, bucket)) == PART_BYTES + 10


def test_files_of_a_directory_go_with_what_was_begun_there_and_nothing_below(
    store: ObjectStore, plain_client: S3Client, bucket: str
) -> None:
    kept = ("up/job/below/rejects.csv", "up/job2/a.csv")
    for key in ("up/job/a.csv", "up/job/b.csv", *kept):
        plain_client.put_object(Bucket=bucket, Key=key, Body=b"x")
        plain_client.create_multipart_upload(Bucket=bucket, Key=key)
    for _ in range(2):
        store.remove_files(bucket, "up/job/")
        assert [one["Key"] for one in plain_client.list_objects_v2(Bucket=bucket)["Contents"]] == list(kept)
        assert [one["Key"] for one in plain_client.list_multipart_uploads(Bucket=bucket)["Uploads"]] == list(kept)


def test_a_bucket_that_is_not_there_is_told(store: ObjectStore) -> None:
    def write() -> None:
        with store.open_write("no-such-bucket", KEY) as out:
            out.write(b"x")

    with pytest.raises(TerminalError) as caught:
        write()
    assert caught.value.code == "NO_SUCH_BUCKET"


def test_memory_does_not_grow_with_what_is_written(store: ObjectStore, bucket: str) -> None:
    block = b"n" * MIB
    with store.open_write(bucket, KEY) as out:
        out.write(block * 16)
        tracemalloc.start()
        try:
            for _ in range(80):
                out.write(block)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 * PART_BYTES
