"""Every key has an owner and a lifetime (profile_store.keys.LIFETIMES), in a store that has seen real imports; and imports leave nothing behind."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from deployments.embedded.s3 import S3Server
from profile_store import counts, keys, runs
from profile_store.store import Store
from tests.corrected import corrected, history, replay
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import RedisTarget
from tests.shop import as_csv, customers, purchases, shop

KEPT = re.compile(
    rb".*:(meta|ids|domain|schema|sequence|floor|mark|rejected|import:\d+|result:\d+|ledger:crm/customers|seen-profiles:crm:in)|headrace:.*"
)


@pytest.fixture
def real(redis_target: RedisTarget, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(redis_target.url, apache_kafka, access_to(empty_s3), cluster=redis_target.cluster)
    made.make_bucket("crm")
    return made


def walk(store: Store) -> set[bytes]:
    return {key for node in store.nodes() for key in node.scan_iter(count=1000)}


def strangers(found: set[bytes]) -> set[bytes]:
    return {key for key in found if keys.lifetime_of(key) is None}


def addresses(found: set[bytes], domain: str) -> set[bytes]:
    return {key for key in found if keys.lifetime_of(key) == keys.lifetime_of(keys.address_prefix(domain, 0) + bytes(16))}


@pytest.mark.spec("P2")
def test_every_key_of_a_used_store_has_an_owner_and_imports_leave_nothing(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    fresh = walk(real.store)
    real.put("crm", "in/a.csv", as_csv(purchases(1_000)))
    during: set[bytes] = set()

    with real.workers(domain_name):
        [first] = real.run(connection, real.context)
        runs.write_run(real.store, runs.RunRecord("run-1", "crm", "customers", started=runs.now()))
        during |= walk(real.store)
        real.put("crm", "in/a.csv", as_csv(purchases(1_500)))
        [second] = real.run(connection)
    assert [first.state, second.state] == ["COMPLETE", "COMPLETE"]
    assert first.outcomes.cells > 0
    left = walk(real.store)
    assert strangers(fresh | during | left) == set()
    profiles = addresses(left, domain_name)
    assert len(profiles) == 97
    assert [key for key in left - profiles if not KEPT.fullmatch(key)] == []
    for import_seq in (1, 2):
        kept = {keys.registration(domain_name, import_seq).encode(), keys.result(domain_name, import_seq).encode()}
        of_it = {key for key in left if key.endswith(f":{import_seq}".encode()) and b"}:" in key}
        assert of_it == kept
    grown = Counter(keys.lifetime_of(key) for key in left - fresh - profiles)
    again = Counter(keys.lifetime_of(key) for key in during - fresh - profiles)
    history = keys.lifetime_of(keys.registration(domain_name, 1).encode()), keys.lifetime_of(keys.result(domain_name, 1).encode())
    assert grown - again == Counter(dict.fromkeys(history, 1))


@pytest.mark.spec("B2")
def test_what_replays_leave_behind_is_the_domains(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases(100)))
    with real.workers(domain_name):
        [result] = real.run(connection)
        with real.objects.open(real.objects.head("crm", str(result.rejects_key))) as stream:
            data = corrected(stream.readall(), lambda line: {**line, "amount": "5" if line["_headrace_line"] == "51" else "five"})
        report = replay(real.context, connection, data)
    assert (report.replayed, report.again, history(real.context, connection).left) == (1, 1, 1)
    left = walk(real.store)
    assert strangers(left) == set()
    assert {keys.rejected(domain_name).encode(), keys.replayed(domain_name, 1).encode()} <= left


@pytest.mark.spec("P2")
def test_what_an_import_keeps_while_it_goes_on_is_known_too(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts, rejects, fences, a lease and its place among the open ones: seen where all of it is applied, before any of it is dropped."""
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases(1_000)))
    seen: set[bytes] = set()
    drop = counts.drop_import

    def look_first(*import_of: Any) -> None:
        seen.update(walk(real.store))
        drop(*import_of)

    monkeypatch.setattr(counts, "drop_import", look_first)
    with real.workers(domain_name):
        real.run(connection)
    expected = {
        keys.tally(domain_name, 0, 1),
        keys.rejects(domain_name, 0, 1),
        keys.fence(domain_name, 0),
        keys.lease(domain_name, 1),
        keys.open_imports(domain_name),
    }
    assert expected <= {key.decode("utf-8", "replace") for key in seen}
    assert strangers(seen) == set()
    left = {key.decode("utf-8", "replace") for key in walk(real.store)}
    assert expected & left == set()


@pytest.mark.parametrize(
    "key",
    [
        b"stranger",
        b"{retail}:something",
        b"{retail:0}:tally",
        b"{retail:0}:meta:x",
        b"{retail:x}:meta",
        b"{retail:0}:" + bytes(15),
        b"{retail:0}:" + bytes(17),
        b"headrace:something",
        b"headrace:runs:",
        b"retail:0:meta",
    ],
)
def test_a_stranger_is_told(key: bytes) -> None:
    assert keys.lifetime_of(key) is None


def test_every_key_that_can_be_spelled_has_an_owner() -> None:
    partition = [keys.meta, keys.ids, keys.fence, keys.outbox]
    spelled = [make(name, 31) for make in partition for name in ("retail", "a-b_c", "retail~household")]
    spelled += [keys.tally("d", 0, 10**12), keys.rejects("d", 0, 7), keys.registration("d", 7), keys.result("d", 7), keys.lease("d", 7)]
    spelled += [make("d") for make in (keys.domain, keys.schema, keys.sequence, keys.floor, keys.mark, keys.open_imports)]
    spelled += [
        keys.ledger("d", "c-1", "g_2"),
        keys.domains(),
        keys.connections(),
        keys.connections_mark(),
        keys.runs("crm"),
        keys.run("0a-1b"),
    ]
    spelled += [keys.seen("d", 3, "c-1"), keys.seen("retail~household", 0, "C_2")]
    assert [key for key in spelled if keys.lifetime_of(key.encode()) is None] == []
    assert keys.lifetime_of(keys.address_prefix("d", 0) + b"\xff\n" * 8) is not None
