"""Upload jobs through the real path, below HTTP (SPEC U3–U10)."""

from __future__ import annotations

import csv
import io
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from api.receive_upload import TooLargeError, receiving
from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.address import address_of
from headrace.errors import HeadraceError
from headrace.settings import UploadSettings
from object_store.store import ObjectStore
from profile_store import keys, registry, runs, sequence, upload_jobs
from streaming.importing import upload_schema
from streaming.importing.await_turn import finish
from streaming.importing.context import Progress
from streaming.importing.drive import drive
from streaming.importing.erase import register_erasure
from streaming.importing.register_upload import register_upload
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.uploaded import FIELDS, HEADER, KEY, Uploads


@contextmanager
def a_domain(valkey: ValkeyServer, tansu: BrokerServer, s3: S3Server) -> Iterator[Uploads]:
    """A new one, with a worker and a bucket of its own."""
    real = pipeline(valkey.url, tansu.bootstrap_servers, access_to(s3))
    name = f"d{uuid.uuid4().hex[:12]}"
    real.make_bucket(name)
    made = Uploads(real, name, UploadSettings(bucket=name))
    made.make_domain()
    with real.workers(name):
        yield made


@pytest.fixture(scope="module")
def shared(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Iterator[Uploads]:
    with a_domain(valkey_server, tansu_server, s3_server) as made:
        yield made


@pytest.fixture
def uploads(shared: Uploads) -> Uploads:
    """One domain for all tests of this file: a worker's start takes seconds. Each has records of its own."""
    return replace(shared, prefix=f"{uuid.uuid4().hex[:8]}-")


def rejects_of(uploads: Uploads, run_id: str) -> list[dict[str, str]]:
    run = runs.read_run(uploads.real.store, run_id)
    assert run is not None
    assert run.files[0].rejects_key is not None
    version = uploads.real.objects.head(uploads.settings.bucket, run.files[0].rejects_key)
    with uploads.real.objects.open_text_bytes(version) as stream:
        return list(csv.DictReader(io.StringIO(stream.read().decode("utf-8-sig"))))


def last_run(uploads: Uploads, job_id: str) -> str:
    [run, *_] = runs.list_runs(uploads.real.store, f"upload-{job_id}")
    return run.run_id


@pytest.mark.spec("U4", "U7", "U9")
def test_a_job_ends_with_exact_counts_and_each_failed_row_has_its_line_and_reason(uploads: Uploads) -> None:
    number = uploads.prefix
    bad = [
        "A1,Laptop,not an address,,,",
        "A2,Laptop,,12,,",
        ",Laptop,,,,",
        f"A3,{'x' * 1001},,,,",
        "A4,Laptop,,,twelve,",
        "A5,Laptop",
        f"A6,Laptop,,,,{'y' * 256}",
    ]
    good = [
        f"{number}10,Laptop,A@Example.com,(206) 555-0100,007.50,Oslo",
        f"{number}11,Server,,+31 6 12345678,,",
        f"{number}10,Laptop 2,,,,Bergen",
    ]
    job = uploads.run(uploads.started((HEADER + "\n".join([*bad, *good]) + "\n").encode()))
    assert (job.status, job.status_reason) == ("PARTIALLY_SUCCEEDED", "")
    assert job.results == {"CreatedRecords": 2, "UpdatedRecords": 1, "FailedRecords": len(bad)}
    assert uploads.profiles() == {
        f"{number}10": {
            "AccountNumber": f"{number}10",
            "AdditionalInformation": "Laptop 2",
            "EmailAddress": "a@example.com",
            "PhoneNumber": "(206) 555-0100",
            "Address.City": "Bergen",
            "Attributes.price": "007.50",
        },
        f"{number}11": {"AccountNumber": f"{number}11", "AdditionalInformation": "Server", "PhoneNumber": "+31 6 12345678"},
    }
    found = rejects_of(uploads, last_run(uploads, job.id))
    assert [(one["_headrace_line"], one["_headrace_code"]) for one in found] == [
        ("2", "NOT_AN_EMAIL"),
        ("3", "NOT_A_PHONE_NUMBER"),
        ("4", "NO_IDENTIFIER"),
        ("5", "TOO_LONG"),
        ("6", "NOT_A_NUMBER"),
        ("7", "WRONG_COLUMN_COUNT"),
        ("8", "TOO_LONG"),
    ]


@pytest.mark.spec("U7")
def test_what_is_there_already_counts_as_updated(uploads: Uploads) -> None:
    assert uploads.run(uploads.started(uploads.rows(50))).results == {"CreatedRecords": 50, "UpdatedRecords": 0, "FailedRecords": 0}
    job = uploads.run(uploads.started(uploads.rows(60, first=20)))
    assert job.status == "SUCCEEDED"
    assert job.results == {"CreatedRecords": 30, "UpdatedRecords": 30, "FailedRecords": 0}
    assert job.completed > job.started >= job.created


@pytest.mark.spec("U6")
def test_the_object_that_was_there_at_the_start_is_the_one_imported(uploads: Uploads) -> None:
    job_id = uploads.job()
    assert upload_jobs.start(uploads.real.store, uploads.domain, job_id).status == "CREATED"
    uploads.upload(job_id, uploads.rows(3))
    uploads.upload(job_id, uploads.rows(5), bytes(32))
    assert upload_jobs.start(uploads.real.store, uploads.domain, job_id).done
    assert upload_jobs.start(uploads.real.store, uploads.domain, job_id).status == "IN_PROGRESS"
    with receiving(uploads.place, uploads.domain, job_id, KEY) as late:
        late.write(uploads.rows(7))
    assert late.noted is not None
    assert not late.noted.done
    assert len(uploads.held()) == 1
    assert uploads.run(job_id).results["CreatedRecords"] == 5


@pytest.mark.spec("U6")
def test_two_runs_of_a_job_make_one_import(uploads: Uploads) -> None:
    assert uploads.run(uploads.started(uploads.rows(1))).status == "SUCCEEDED"  # the properties are there
    job_id, before = uploads.started(uploads.rows(2_000, first=1)), sequence.last_number(uploads.real.store, uploads.domain)
    others = [threading.Thread(target=uploads.run, args=(job_id,)) for _ in range(2)]
    for one in others:
        one.start()
    job = uploads.run(job_id)
    for one in others:
        one.join(60)
    assert job.results == {"CreatedRecords": 2_000, "UpdatedRecords": 0, "FailedRecords": 0}
    numbers = range(before + 1, sequence.last_number(uploads.real.store, uploads.domain) + 1)
    assert len(numbers) == 1
    assert uploads.run(job_id) == job


@pytest.mark.spec("U5")
def test_what_lies_in_s3_is_unreadable_and_its_key_goes_with_the_job(uploads: Uploads) -> None:
    job_id = uploads.started(uploads.rows(10))
    [key] = uploads.held()
    with uploads.real.objects.open(uploads.real.objects.head(uploads.settings.bucket, key)) as stream:
        assert b"Laptop" not in stream.read()
    stored = uploads.real.store.client.hgetall(keys.upload_job(uploads.domain, job_id))
    assert KEY not in b"".join(stored.values())
    job = uploads.run(job_id)
    assert job.status == "SUCCEEDED"
    assert uploads.held() == []
    assert uploads.found(job_id).sealed_key == ""
    assert upload_jobs.open_jobs(uploads.real.store, uploads.domain) == []


@pytest.mark.spec("U8")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"asset_id,mail,phone,price,city\nA1,,,,\n", "Source field 'asset_name' not found in CSV headers"),
        (
            HEADER.replace("city", "Asset_Name").replace("asset_name,", "city,").encode() + b"A1,,,,,\n",
            "Source field 'asset_name' not found in CSV headers",
        ),
        (HEADER.encode().replace(b"\n", b",mail\n") + b"A1,,,,,,\n", "Source field 'mail' found 2 times in CSV headers"),
        (b"", "The file is empty"),
        (HEADER.encode() + 200_000 * b"A1,,,,,\n" + b"A1,\xff,,,,\n", "The file is not UTF-8, from byte"),
        (HEADER.encode() + b"A1,,,,,\xc3", "The file is not UTF-8, from byte"),
    ],
)
def test_a_file_that_is_not_as_it_must_be_fails_before_anything_is_applied(uploads: Uploads, data: bytes, said: str) -> None:
    job = uploads.run(uploads.started(data))
    assert (job.status, job.status_reason) == ("FAILED", "VALIDATION_FAILURE")
    assert said in job.reason
    assert job.results == {"CreatedRecords": 0, "UpdatedRecords": 0, "FailedRecords": 0}
    [line] = rejects_of(uploads, last_run(uploads, job.id))
    assert said in line["_headrace_message"]
    assert uploads.profiles() == {}


@pytest.mark.spec("U10")
def test_what_is_over_the_limits_is_refused_and_nothing_applied(uploads: Uploads) -> None:
    uploads.settings = UploadSettings(bucket=uploads.domain, most_bytes=10_000, most_records=100)
    assert uploads.run(uploads.started(uploads.rows(100))).results["CreatedRecords"] == 100
    job = uploads.run(uploads.started(uploads.rows(101, first=500)))
    assert (job.status, job.status_reason) == ("FAILED", "VALIDATION_FAILURE")
    assert "100 records" in job.reason
    assert len(uploads.profiles()) == 100
    with pytest.raises(TooLargeError, match="10,000 bytes"):
        uploads.upload(uploads.job(), uploads.rows(400))
    assert uploads.held() == []


@pytest.mark.spec("U7", "U9")
def test_a_stopped_job_counts_what_was_applied_and_tells_what_was_rejected(uploads: Uploads) -> None:
    lines = uploads.rows(40_000).splitlines(keepends=True)
    bad = {line for line in range(2, len(lines) + 1) if line % 10 == 0}
    rows = [line.replace(b"@example.com", b" at home") if number in bad else line for number, line in enumerate(lines, 1)]
    job_id = uploads.started(b"".join(rows) + b"too,short\n")
    asked = threading.Event()

    def stop_when_it_merges(progress: Progress) -> None:
        if progress.phase == "publishing" and not asked.is_set():
            asked.set()
            eventually(lambda: len(uploads.profiles()) > 0, within=30, what="some rows are applied")
            assert upload_jobs.ask_stop(uploads.real.store, uploads.domain, job_id).done

    job = uploads.run(job_id, replace(uploads.context, report=stop_when_it_merges))
    assert (job.status, job.status_reason) == ("STOPPED", "")
    assert 0 < job.results["CreatedRecords"] == len(uploads.profiles()) < 36_000
    rejects = rejects_of(uploads, last_run(uploads, job_id))
    assert len(rejects) == job.results["FailedRecords"] > 0
    assert {one["_headrace_code"] for one in rejects} == {"NOT_AN_EMAIL"}
    assert {int(one["_headrace_line"]) for one in rejects} <= bad
    assert uploads.run(uploads.started(uploads.rows(5, first=50_000))).status == "SUCCEEDED"


@pytest.mark.spec("U7")
def test_a_job_that_is_stopped_before_its_run_applies_nothing(uploads: Uploads) -> None:
    job_id = uploads.started(uploads.rows(10))
    before = sequence.last_number(uploads.real.store, uploads.domain)
    upload_jobs.ask_stop(uploads.real.store, uploads.domain, job_id)
    job = uploads.run(job_id)
    assert job.status == "STOPPED"
    assert uploads.profiles() == {}
    assert sequence.last_number(uploads.real.store, uploads.domain) == before


@pytest.mark.spec("U7")
@pytest.mark.parametrize("died", ["registered", "driven"])
def test_a_job_whose_run_died_is_taken_up(uploads: Uploads, died: str) -> None:
    job_id = uploads.started(uploads.rows(500))
    registration = register_upload(uploads.context, uploads.settings, uploads.found(job_id), "a run that dies")
    if died == "driven":
        drive(uploads.context, registration)
    job = uploads.run(job_id)
    assert job.status == "SUCCEEDED"
    assert job.results == {"CreatedRecords": 500, "UpdatedRecords": 0, "FailedRecords": 0}


@pytest.mark.spec("U7", "B1")
def test_a_job_whose_import_an_older_release_can_t_read_waits_for_the_newer(uploads: Uploads) -> None:
    """It may have applied rows: as FAILED, with no counts, it would be over for people and open for the domain."""
    job_id = uploads.started(uploads.rows(20))
    registration = register_upload(uploads.context, uploads.settings, uploads.found(job_id), "a run that dies")
    client, key = uploads.real.store.client, keys.registration(uploads.domain, registration.import_seq)
    written: Any = client.get(key)
    client.set(key, json.dumps(json.loads(written) | {"format": 99}))
    with pytest.raises(HeadraceError, match="format 99"):
        uploads.run(job_id)
    assert uploads.found(job_id).status == "IN_PROGRESS"
    client.set(key, written)
    assert uploads.run(job_id).results == {"CreatedRecords": 20, "UpdatedRecords": 0, "FailedRecords": 0}


@pytest.mark.spec("U7")
def test_a_job_whose_upload_is_gone_fails(uploads: Uploads) -> None:
    job_id = uploads.started(uploads.rows(10))
    [key] = uploads.held()
    uploads.real.objects.remove_key(uploads.settings.bucket, key)
    job = uploads.run(job_id)
    assert (job.status, job.status_reason) == ("FAILED", "INTERNAL_FAILURE")


def test_a_job_without_the_master_key_fails_and_blocks_nobody(uploads: Uploads) -> None:
    job = uploads.run(uploads.started(uploads.rows(10)), replace(uploads.context, master_key=SecretStr("")))
    assert (job.status, job.status_reason) == ("FAILED", "INTERNAL_FAILURE")
    assert "HEADRACE_API_MASTER_KEY" in job.reason
    assert uploads.run(uploads.started(uploads.rows(10))).status == "SUCCEEDED"


@pytest.mark.spec("U7")
def test_a_job_that_a_bug_ends_is_over(uploads: Uploads) -> None:
    def broken(_connection: str) -> ObjectStore:
        raise RuntimeError("nobody thought of this")

    job_id = uploads.started(uploads.rows(10))
    with pytest.raises(RuntimeError):
        uploads.run(job_id, replace(uploads.context, objects_of=broken))
    assert (uploads.found(job_id).status, uploads.found(job_id).status_reason) == ("FAILED", "INTERNAL_FAILURE")
    assert uploads.profiles() == {}


@pytest.mark.spec("P2")
def test_an_erasure_reads_the_rejects_of_uploads_too(uploads: Uploads) -> None:
    number = f"{uploads.prefix}1"
    job = uploads.run(uploads.started(uploads.rows(2) + f"{number},Laptop,no address,,,\n{uploads.prefix}0,,bad,,,\n".encode()))
    run = last_run(uploads, job.id)
    assert [one["asset_id"] for one in rejects_of(uploads, run)] == [number, f"{uploads.prefix}0"]
    key = bytes.fromhex(registry.get_domain(uploads.real.store, uploads.domain).address_key)
    erasure = register_erasure(uploads.context, uploads.domain, address_of(key, "AccountNumber", number), suppress=False)
    assert finish(uploads.context, erasure, "eraser").outcomes.updated == 1
    assert [one["asset_id"] for one in rejects_of(uploads, run)] == [f"{uploads.prefix}0"]


@pytest.mark.spec("U4")
def test_the_key_becomes_an_identifier_and_another_one_only_while_nobody_has_values_of_it(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server
) -> None:
    with a_domain(valkey_server, tansu_server, s3_server) as uploads:
        _check_keys(uploads)


def _check_keys(uploads: Uploads) -> None:
    by_mail: dict[str, Any] = {"fields": FIELDS, "key": "mail"}
    first = uploads.run(uploads.started(uploads.rows(3), **by_mail))
    assert first.status == "SUCCEEDED"
    stored = registry.get_domain(uploads.real.store, uploads.domain)
    found = stored.definition.find_property("EmailAddress")
    assert found is not None
    assert (found.identifier, found.type) == (True, "email")
    refused = uploads.run(uploads.started(uploads.rows(3)))
    assert (refused.status, refused.status_reason) == ("FAILED", "VALIDATION_FAILURE")
    assert "_profile.AccountNumber can't become an identifier" in refused.reason
    capitals = uploads.rows(3).replace(b"1@example.com", b"1@Example.COM")
    assert uploads.run(uploads.started(capitals, **by_mail)).results["UpdatedRecords"] == 3


@pytest.mark.spec("U3", "U6")
@pytest.mark.parametrize("amid", ["needed_domain", "register_schema_change"])
def test_two_jobs_that_are_prepared_at_once_keep_the_fields_of_both(uploads: Uploads, monkeypatch: pytest.MonkeyPatch, amid: str) -> None:
    """The other is done between two steps of the first: what it has defined stays, and so do its values."""
    key, names = FIELDS["asset_id"], (f"{amid}_1", f"{amid}_2")
    both = [uploads.job({"asset_id": key, name: {"Source": name, "Target": f"_profile.Attributes.{name}"}}) for name in names]
    for job_id, name in zip(both, names, strict=True):
        uploads.upload(job_id, f"asset_id,{name}\n{uploads.prefix}1,of {name}\n".encode())
        assert upload_jobs.start(uploads.real.store, uploads.domain, job_id).done
    inner, others = getattr(upload_schema, amid), both[1:]

    def meanwhile(*arguments: Any, **more: Any) -> Any:
        found = inner(*arguments, **more) if amid == "needed_domain" else None
        if others:
            assert uploads.run(others.pop()).status == "SUCCEEDED"
        return inner(*arguments, **more) if found is None else found

    monkeypatch.setattr(upload_schema, amid, meanwhile)
    first = uploads.run(both[0])
    assert (first.status, first.reason) == ("SUCCEEDED", "")
    [profile] = uploads.profiles().values()
    assert [profile.get(f"Attributes.{name}") for name in names] == [f"of {name}" for name in names]


@pytest.mark.spec("U4")
def test_a_unique_key_may_be_the_source_of_a_field(uploads: Uploads) -> None:
    fields = {"id": {"Source": "asset_id", "Target": "_profile.AccountNumber"}}
    assert uploads.run(uploads.started(uploads.rows(4), fields=fields, key="asset_id")).results["CreatedRecords"] == 4
    assert [tuple(one) for one in uploads.profiles().values()] == 4 * [("AccountNumber",)]


def test_a_job_waits_for_the_import_before_it(uploads: Uploads) -> None:
    first, second = uploads.started(uploads.rows(300)), uploads.started(uploads.rows(300, first=100))
    register_upload(uploads.context, uploads.settings, uploads.found(first), "a run that dies")
    assert uploads.run(second).results == {"CreatedRecords": 100, "UpdatedRecords": 200, "FailedRecords": 0}
    assert uploads.run(first).results == {"CreatedRecords": 300, "UpdatedRecords": 0, "FailedRecords": 0}


def test_no_key_of_the_store_is_a_stranger(uploads: Uploads) -> None:
    uploads.run(uploads.started(uploads.rows(10)))
    uploads.job()
    client = uploads.real.store.client
    strangers = [key for key in client.scan_iter(match=f"*{uploads.domain}*") if keys.lifetime_of(key) is None]
    assert strangers == []


def test_jobs_are_listed_the_latest_first_in_pages(uploads: Uploads) -> None:
    made = [uploads.job() for _ in range(5)]
    found, after = list[str](), ""
    while True:
        page, after = upload_jobs.page(uploads.real.store, uploads.domain, 2, after)
        found += [one.id for one in page]
        if not after or set(found) >= set(made):
            break
    assert sorted(one for one in found if one in made) == sorted(made)
    times = [uploads.found(one).created for one in found]
    assert times == sorted(times, reverse=True)


def test_there_is_no_way_back_from_an_end(uploads: Uploads) -> None:
    job = uploads.run(uploads.started(uploads.rows(2)))
    assert upload_jobs.ask_stop(uploads.real.store, uploads.domain, job.id).status == "SUCCEEDED"
    assert upload_jobs.start(uploads.real.store, uploads.domain, job.id).status == "SUCCEEDED"
    with pytest.raises(ValueError, match="does not go from"):
        upload_jobs.end(uploads.real.store, job, "FAILED", {})
    with pytest.raises(HeadraceError, match="NO_SUCH_JOB"):
        uploads.run("0" * 32)
