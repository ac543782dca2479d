"""Profiles of upload jobs expire; their longest source counts, and a source that sets no end makes them permanent (SPEC U11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from profile_store import audit, expiries, keys, membership, registry, segment_registry, sequence
from profile_store.upload_jobs import UploadJob
from streaming.importing.expire import publish_ranges, register_expiry
from streaming.importing.publish import publish_rows
from tasks.expiry import expire
from tests.integration.test_upload_jobs import a_domain
from tests.uploaded import HEADER, Uploads

DAY = 24 * 60 * 60


@pytest.fixture
def uploads(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server) -> Iterator[Uploads]:
    with a_domain(valkey, tansu_server, empty_s3) as made:
        yield made


def job_of(uploads: Uploads, numbers: str, days: int) -> UploadJob:
    lines = "".join(f"A{number},Laptop,a{number}@example.com,,,\n" for number in numbers)
    job = uploads.run(uploads.started((HEADER + lines).encode(), DataExpiry=days))
    assert job.status == "SUCCEEDED"
    return job


def connection(uploads: Uploads) -> Connection:
    """That imports A3 and A4 for good."""
    goal: dict[str, Any] = {
        "kind": "import_profiles",
        "name": "Customers",
        "domain": uploads.domain,
        "source": {"bucket": uploads.domain, "directory": "in/", "files": "*.csv"},
        "link": [{"column": "id", "property": "AccountNumber"}],
        "allow_creation": True,
    }
    uploads.real.put(uploads.domain, "in/a.csv", b"id\nA3\nA4\n")
    made = Connection.model_validate({"version": 1, "kind": "connection", "name": "crm", "goals": [goal]})
    registry.put_connection(uploads.real.store, made)
    return made


def there(uploads: Uploads) -> list[str]:
    return sorted(uploads.profiles())


@pytest.mark.spec("U11", "B6")
def test_profiles_expire_after_their_longest_source(uploads: Uploads) -> None:
    uploads.real.define_segments(uploads.domain, {"name": "laptops", "groups": [{"dimensions": [_laptops()]}]})
    first = job_of(uploads, "123", days=10)
    job_of(uploads, "25", days=30)
    job_of(uploads, "25", days=5)
    uploads.real.run(connection(uploads))
    ends = {days: expiries.expires_at(first.started, days) for days in (10, 30)}
    store, domain = uploads.real.store, uploads.domain
    assert not expiries.expiry_due(store, domain, ends[10] - 6 * DAY)
    assert expiries.expiry_due(store, domain, ends[10])
    assert expire(uploads.context, domain, ends[10] - 1) == 0
    assert there(uploads) == ["A1", "A2", "A3", "A4", "A5"]
    assert expire(uploads.context, domain, ends[10]) == 1
    assert not expiries.expiry_due(store, domain, ends[10])
    assert there(uploads) == ["A2", "A3", "A4", "A5"]
    assert _members(uploads) == 3  # A4 has no laptop
    assert expire(uploads.context, domain, ends[30] + DAY) == 2
    assert there(uploads) == ["A3", "A4"]
    assert _members(uploads) == 1
    assert len(uploads.real.holders(domain)) == len(uploads.real.profiles(domain))
    noted = [one.detail["profiles"] for one in audit.read(store) if one.what == "expired"]
    assert noted == [2, 1, 0]
    assert job_of(uploads, "1", days=1).results["CreatedRecords"] == 1
    strangers = [key for key in store.client.scan_iter(match=f"*{domain}*") if keys.lifetime_of(key) is None]
    assert strangers == []


def _laptops() -> dict[str, Any]:
    return {"property": "AdditionalInformation", "comparison": "inclusive", "values": ["Laptop"]}


def _members(uploads: Uploads) -> int:
    store, domain = uploads.real.store, uploads.domain
    segment = segment_registry.find_segment(store, domain, "laptops").id
    return sum(
        len(membership.read_membership(store, domain, one, segment).numbers) for one in range(registry.get_domain(store, domain).partitions)
    )


@pytest.mark.spec("U11")
def test_an_expiry_that_died_beside_another_is_finished_by_the_next(uploads: Uploads) -> None:
    """Fault schedule 2559862525: the other one noted that all were gone, so that nothing seemed to be left to do."""
    job = job_of(uploads, "12345", days=1)
    store, domain, end = uploads.real.store, uploads.domain, expiries.expires_at(job.started, 1)
    number = register_expiry(uploads.context, domain, end).import_seq
    expiries.note_expired(store, domain, end)
    assert expiries.expiry_due(store, domain, end), "one is open"
    assert expire(uploads.context, domain, end + 60) == 0
    result = sequence.read_result(store, domain, number)
    assert result is not None
    assert (result["state"], result["updated"]) == ("COMPLETE", 5)
    assert sequence.domain_floor(store, domain) == sequence.last_number(store, domain)
    assert not expiries.expiry_due(store, domain, end)


@pytest.mark.spec("U11")
def test_an_expiry_that_is_published_again_is_done_once(uploads: Uploads) -> None:
    job = job_of(uploads, "12345", days=1)
    end = expiries.expires_at(job.started, 1)
    registration = register_expiry(uploads.context, uploads.domain, end)
    for publish in (publish_rows, publish_ranges, publish_ranges):
        assert publish(uploads.context, registration).rows == 5
    assert expire(uploads.context, uploads.domain, end) == 5
    assert there(uploads) == []
