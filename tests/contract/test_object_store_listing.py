"""What a scan sees of a bucket."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from headrace.errors import TerminalError
from headrace.file_selection import select_files
from tests.servers.s3_gateway import Request, S3Gateway, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from object_store.store import ObjectStore

PAGE = 10


@pytest.fixture
def small_pages(gateway: S3Gateway) -> S3Gateway:
    """A server whose pages hold ten keys."""

    def rule(request: Request) -> None:
        if "list-type" in request.path:
            request.path += f"&max-keys={PAGE}"

    gateway.rules.append(rule)
    return gateway


def lists(gateway: S3Gateway) -> int:
    return sum("list-type" in request.path for request in gateway.seen)


def put(client: S3Client, bucket: str, *keys: str) -> None:
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())


@pytest.mark.spec("I4")
def test_more_objects_than_a_page_holds(store: ObjectStore, plain_client: S3Client, bucket: str) -> None:
    keys = [f"exports/{number:04}.csv" for number in range(1_005)]
    put(plain_client, bucket, *keys, "exports2/a.csv", "_headrace/x.csv")
    found = list(store.list_objects(bucket, "exports/"))
    assert [each.key for each in found] == keys
    assert found[3].size == len(keys[3])
    assert found[3].version_id is None
    assert abs((datetime.now(UTC) - found[3].last_modified).total_seconds()) < 300
    assert store.head(bucket, keys[3]).etag == found[3].etag, "the same spelling of an ETag everywhere"


@pytest.mark.spec("I3")
@pytest.mark.parametrize("start_after", ["known", "ignored"])
def test_what_headrace_wrote_is_never_listed_and_not_paged_through(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, small_pages: S3Gateway, start_after: str
) -> None:
    own = [f"{directory}_headrace/rejects/{number:03}.csv" for directory in ("", "d/", "d/e/") for number in range(50)]
    wanted = [
        "a.csv",
        "_headrace.csv",
        "_headraces/b.csv",
        "d/_headrace0",
        "d/a.csv",
        "d/e/z.csv",
        "d/zz.csv",
        "my_headrace/c.csv",
        "é/ü+ .csv",
    ]
    put(plain_client, bucket, *own, *wanted, "d/placeholder/")

    def forget_start_after(request: Request) -> None:
        request.path = "&".join(part for part in request.path.split("&") if not part.startswith("start-after="))

    if start_after == "ignored":
        small_pages.rules.append(forget_start_after)
    assert Counter(each.key for each in faulty_store.list_objects(bucket)) == Counter(wanted)
    if start_after == "known":
        assert lists(small_pages) <= 6, "one page per directory of Headrace, not all of its 150 keys"


@pytest.mark.spec("I3", "I4", "I13")
def test_the_files_of_a_goal(faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway) -> None:
    put(plain_client, bucket, "exports/customers-b.csv", "exports/customers-a.csv", "exports/orders.csv", "customers-c.csv")
    put(plain_client, bucket, "exports/old/customers-d.csv", "exports/_headrace/customers-e.csv")
    selection = select_files("exports", files="customers-*.csv")
    found = faulty_store.list_selected(bucket, selection)
    assert [each.key for each in found] == [each.key for each in sorted(found, key=lambda each: (each.last_modified, each.key))], (
        "in the order of import"
    )
    assert {each.key for each in found} == {"exports/customers-a.csv", "exports/customers-b.csv"}
    asked = parse_qs(urlsplit(gateway.seen[-1].path).query)
    assert asked["prefix"] == ["exports/customers-"], "no more is listed than can match"
    assert asked["delimiter"] == ["/"], "nor what lies below"
    below = faulty_store.list_selected(bucket, select_files("exports/", files="**/customers-*.csv"))
    assert {each.key for each in below} == {"exports/customers-a.csv", "exports/customers-b.csv", "exports/old/customers-d.csv"}


@pytest.mark.spec("C5")
def test_the_list_of_buckets(store: ObjectStore, bucket: str) -> None:
    assert bucket in store.list_buckets()


@pytest.mark.spec("C5")
def test_without_the_permission_the_message_says_that_a_typed_bucket_works(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, gateway: S3Gateway
) -> None:
    put(plain_client, bucket, "a.csv")
    gateway.rules.append(lambda request: refusal(403, "AccessDenied") if request.path.split("?")[0] == "/" else None)
    with pytest.raises(TerminalError) as caught:
        faulty_store.list_buckets()
    assert caught.value.code == "LIST_BUCKETS_DENIED"
    assert "Type the bucket's name" in str(caught.value)
    assert [each.key for each in faulty_store.list_objects(bucket)] == ["a.csv"]


def test_a_bucket_that_may_not_be_listed_is_told(faulty_store: ObjectStore, bucket: str, gateway: S3Gateway) -> None:
    gateway.rules.append(lambda _: refusal(403, "AccessDenied"))
    with pytest.raises(TerminalError, match="s3:ListBucket") as caught:
        list(faulty_store.list_objects(bucket))
    assert caught.value.code == "ACCESS_DENIED"
