"""Reading an object as one version of it, over connections that break and servers that differ."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError, SourceChangedError, TerminalError, TransientError
from object_store.access import S3Access, connect
from tests.bad_inputs import ANSWERS, BadAnswer
from tests.contract.conftest import IMPATIENT
from tests.servers.s3_gateway import Answer, Request, Rule, S3Gateway, refusal

if TYPE_CHECKING:
    import io

    from mypy_boto3_s3 import S3Client

    from object_store.store import ObjectStore
    from tests.servers.cut_proxy import CutProxy

KEY = "exports/ä file+1.csv"
DATA = random.Random(7).randbytes(3_000_000)


def read_all(stream: io.RawIOBase) -> bytes:
    with stream:
        return b"".join(iter(lambda: stream.read(50_000) or b"", b""))


def ranges(gateway: S3Gateway) -> list[int]:
    """Where each GET of an object began."""
    gets = [request for request in gateway.seen if request.method == "GET" and "list-type" not in request.path]
    return [int(re.sub(r"\D", "", request.headers.get("range", "0"))) for request in gets]


def without(header: str) -> Rule:
    """A server that does not know this header."""

    def rule(request: Request) -> None:
        request.headers.pop(header, None)

    return rule


@pytest.mark.spec("I12")
@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "one byte", "3 MB"])
def test_the_bytes_of_an_object(store: ObjectStore, plain_client: S3Client, bucket: str, data: bytes) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=data)
    version = store.head(bucket, KEY)
    assert version.size == len(data)
    assert version.version_id is None
    assert read_all(store.open(version)) == data
    assert read_all(store.open_text_bytes(version)) == data


@pytest.mark.spec("I12")
def test_a_broken_stream_is_resumed_where_it_stopped(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, proxy: CutProxy, gateway: S3Gateway
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    version = faulty_store.head(bucket, KEY)
    proxy.cut(400_000, times=6)
    assert read_all(faulty_store.open(version)) == DATA
    assert proxy.cuts == 6
    starts = ranges(gateway)
    assert len(starts) == 7
    assert starts == sorted(set(starts)), "each request begins further on"
    assert {request.headers.get("if-match") for request in gateway.seen if request.method == "GET"} == {f'"{version.etag}"'}


@pytest.mark.spec("I12")
def test_a_break_after_the_last_byte_costs_nothing(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    version = faulty_store.head(bucket, KEY)

    def broken(request: Request) -> Answer:
        whole = gateway.forward(request)
        return Answer(whole.status, whole.body, whole.headers, ending="broken")

    gateway.rules.append(broken)
    assert read_all(faulty_store.open(version)) == DATA
    assert ranges(gateway) == [0]


@pytest.mark.spec("I12")
@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, 0])
def test_another_size_is_another_object(store: ObjectStore, plain_client: S3Client, bucket: str, size: int) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    with pytest.raises(SourceChangedError, match=f"it had {size} bytes, has {len(DATA)}"):
        store.open(replace(store.head(bucket, KEY), size=size)).read(1)


@pytest.mark.spec("I12")
def test_a_short_answer_that_looks_whole_is_not_the_end(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    version = faulty_store.head(bucket, KEY)

    def shortened(request: Request) -> Answer:
        whole = gateway.forward(request)
        return Answer(whole.status, whole.body[:1_000_000], whole.headers, ending="chunked")

    gateway.rules.append(shortened)
    assert read_all(faulty_store.open(version)) == DATA
    assert ranges(gateway) == [0, 1_000_000, 2_000_000]


@pytest.mark.spec("I12")
def test_a_server_that_ignores_range_sends_all_again_and_no_byte_comes_twice(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, proxy: CutProxy, gateway: S3Gateway
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    gateway.rules.append(without("range"))
    version = faulty_store.head(bucket, KEY)
    proxy.cut(1_300_000)
    assert read_all(faulty_store.open(version)) == DATA
    assert proxy.cuts == 1


@pytest.mark.spec("I12")
@pytest.mark.parametrize("ignored", ["nothing", "if-match"])
@pytest.mark.parametrize("replacement", [DATA[::-1], DATA[:1000], DATA + b"more", None], ids=["same size", "shorter", "longer", "deleted"])
def test_an_object_replaced_while_it_is_read_ends_the_reading(
    faulty_store: ObjectStore,
    plain_client: S3Client,
    bucket: str,
    proxy: CutProxy,
    gateway: S3Gateway,
    ignored: str,
    replacement: bytes | None,
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    gateway.rules.append(without(ignored))
    version = faulty_store.head(bucket, KEY)
    proxy.cut(1_000_000)
    stream = faulty_store.open(version)
    read = stream.read(10) or b""
    if replacement is None:
        plain_client.delete_object(Bucket=bucket, Key=KEY)
    else:
        plain_client.put_object(Bucket=bucket, Key=KEY, Body=replacement)
    delivered = [read]
    with pytest.raises(SourceChangedError) as caught:
        delivered.extend(iter(lambda: stream.read(100_000) or b"", b""))
    read = b"".join(delivered)
    assert DATA.startswith(read), "what was read before is of the old version alone"
    assert len(read) > 900_000
    assert f"s3://{bucket}/{KEY}" in str(caught.value)


@pytest.mark.spec("I12")
@pytest.mark.parametrize("ignored", ["nothing", "if-match"])
def test_an_object_replaced_before_the_reading_is_noticed(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway, ignored: str
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=b"old")
    gateway.rules.append(without(ignored))
    version = faulty_store.head(bucket, KEY)
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=b"new")
    with pytest.raises(SourceChangedError):
        faulty_store.open(version).read(1)
    with pytest.raises(SourceChangedError):
        faulty_store.open_text_bytes(version)


@pytest.mark.spec("I12")
def test_with_versions_the_old_one_is_read_to_its_end(
    faulty_store: ObjectStore, plain_client: S3Client, versioned_bucket: str, proxy: CutProxy
) -> None:
    plain_client.put_object(Bucket=versioned_bucket, Key=KEY, Body=DATA)
    version = faulty_store.head(versioned_bucket, KEY)
    assert version.version_id
    proxy.cut(1_000_000)
    stream = faulty_store.open(version)
    read = stream.read(10) or b""
    plain_client.put_object(Bucket=versioned_bucket, Key=KEY, Body=b"new")
    plain_client.delete_object(Bucket=versioned_bucket, Key=KEY)
    assert read + read_all(stream) == DATA
    plain_client.delete_object(Bucket=versioned_bucket, Key=KEY, VersionId=version.version_id)
    with pytest.raises(SourceChangedError, match="deleted"):
        faulty_store.open(version).read(1)


@pytest.mark.spec("I12")
def test_the_version_null_pins_nothing(faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway) -> None:
    """A bucket whose versioning was suspended says "null"; the next upload overwrites that version."""
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)

    def suspended(request: Request) -> Answer:
        answer = gateway.forward(request)
        answer.headers["x-amz-version-id"] = "null"
        return answer

    gateway.rules.append(suspended)
    assert faulty_store.head(bucket, KEY).version_id is None


def test_attempts_without_progress_are_bounded(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, proxy: CutProxy, gateway: S3Gateway
) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    stream = faulty_store.open(faulty_store.head(bucket, KEY))
    proxy.cut(1_000_000)
    gateway.rules.append(lambda request: refusal(503, "SlowDown") if "range" in request.headers else None)
    with pytest.raises(TransientError, match=r"at byte \d+ of 3000000"):
        read_all(stream)
    assert len(ranges(gateway)) == 1 + IMPATIENT.attempts - 1, "the break itself counts"


def test_closing_early_does_not_transfer_the_rest(faulty_store: ObjectStore, plain_client: S3Client, bucket: str) -> None:
    plain_client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    stream = faulty_store.open(faulty_store.head(bucket, KEY))
    assert stream.read(5) == DATA[:5]
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_a_refusal_says_what_to_do_and_no_secret(faulty_store: ObjectStore, bucket: str, gateway: S3Gateway, answer: BadAnswer) -> None:
    # A server's answer to HEAD has no body: the reason must be found out all the same.
    gateway.rules.append(lambda request: Answer(answer.status) if request.method == "HEAD" else refusal(answer.status, answer.server_code))
    with pytest.raises(TerminalError) as caught:
        faulty_store.head(bucket, KEY)
    assert caught.value.code == answer.code
    assert answer.says in str(caught.value)
    assert f"s3://{bucket}/{KEY}" in str(caught.value)
    assert "a-secret-of-the-tests" not in str(caught.value)


@pytest.mark.parametrize(("status", "server_code"), [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")])
def test_an_outage_is_transient(faulty_store: ObjectStore, bucket: str, gateway: S3Gateway, status: int, server_code: str) -> None:
    gateway.rules.append(lambda _: refusal(status, server_code))
    with pytest.raises(TransientError):
        list(faulty_store.list_objects(bucket))


def test_a_server_that_is_not_there_is_transient(proxy: CutProxy, faulty_store: ObjectStore) -> None:
    proxy.close()
    with pytest.raises(TransientError, match="no answer"):
        faulty_store.head("bucket", KEY)


@pytest.mark.parametrize("answer", [Answer(200), Answer(200, b"<html/>"), Answer(200, b"hello"), Answer(404, b"<html>not here</html>")])
def test_what_is_no_s3_server_is_never_taken_for_an_empty_one(faulty_store: ObjectStore, gateway: S3Gateway, answer: Answer) -> None:
    gateway.rules.append(lambda _: answer)
    with pytest.raises(HeadraceError):
        list(faulty_store.list_objects("bucket"))
    with pytest.raises(HeadraceError):
        faulty_store.head("bucket", KEY)


def test_missing_objects_and_buckets(store: ObjectStore, bucket: str) -> None:
    with pytest.raises(TerminalError) as no_object:
        store.head(bucket, "nothing.csv")
    assert no_object.value.code == "NO_SUCH_OBJECT"
    with pytest.raises(TerminalError) as no_bucket:
        store.head("no-such-bucket", "nothing.csv")
    assert no_bucket.value.code == "NO_SUCH_BUCKET"
    with pytest.raises(TerminalError) as nothing_to_list:
        list(store.list_objects("no-such-bucket"))
    assert nothing_to_list.value.code == "NO_SUCH_BUCKET"
    with pytest.raises(TerminalError) as misspelled:
        store.head("no such bucket!", "nothing.csv")
    assert misspelled.value.code == "INVALID_NAME"


@pytest.mark.spec("C2")
def test_the_secret_is_not_shown(store: ObjectStore) -> None:
    assert "a-secret-of-the-tests" not in repr(store.access)
    assert "tester" in repr(store.access)
    assert "session" not in repr(S3Access(session_token="t", access_key_id="a", secret_access_key="b"))


@pytest.mark.parametrize(
    ("access", "code"),
    [
        (S3Access("http://user:hunter2@127.0.0.1:9", "r"), "ENDPOINT"),
        (S3Access("127.0.0.1:9000", "r"), "ENDPOINT"),
        (S3Access(None, "no region"), "ENDPOINT"),
        (S3Access(None, "eu-west-1", "only-the-id"), "CREDENTIALS_MISSING"),
    ],
)
def test_an_access_that_cannot_work_is_refused_at_once(access: S3Access, code: str) -> None:
    with pytest.raises(TerminalError) as caught:
        connect(access)
    assert caught.value.code == code
    assert "hunter2" not in str(caught.value)
