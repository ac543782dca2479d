"""Whatever the store writes durably it looks for behind the wait: a server that came back meanwhile without it is told as such, and it is written again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from pydantic import SecretStr

from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.errors import TransientError
from headrace.segment_set import encode_segments, evolve
from headrace.settings import KafkaSettings, RedisSettings
from headrace.upload_jobs import UploadDefinition, UploadField
from profile_store import counts, expiries, exports, partitions, registry, replays, segment_registry, sequence, upload_jobs
from profile_store.generations import begin_generations, read_states
from profile_store.registration import Registration
from profile_store.store import Store
from streaming.worker.applier import Applier
from streaming.worker.owned import OwnedPartition
from tests.contract.profile_stores import DOMAIN, PARTITIONS, log_of_commands, new_profiles, registration_of, with_domain, work_of
from tests.contract.test_store_segments import schema_of, segment

Act = Callable[[], object]
JOB = UploadDefinition("people", {"id": UploadField("id", "_profile.Attributes.id")}, "id")
REJECTS = replays.RejectsNote("crm", "customers", "crm", "in/a.csv", "rejects/a.csv", rows=3, cells=1)
NOTE = exports.ExportNote("e1", "customers", "crm", "out/a.csv")


class Shaken(Store):
    """`cut` is called at its first wait for the disk."""

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__(settings)
        self.cut: Callable[[], None] | None = None

    @contextmanager
    def on_node_of(self, key: str, doing: str) -> Iterator[redis.Redis]:
        if doing == "waiting for durability" and self.cut is not None:
            cut, self.cut = self.cut, None
            cut()
        with super().on_node_of(key, doing) as node:
            yield node


def registered(store: Store) -> Registration:
    number, _ = sequence.register(store, registration_of(), work_of(registration_of()))
    return sequence.load_needed(store, DOMAIN, number)


def registering(store: Store) -> Act:
    return lambda: sequence.register(store, registration_of(), work_of(registration_of()))


def telling_its_result(store: Store) -> Act:
    number = registered(store).import_seq
    return lambda: sequence.put_result(store, DOMAIN, number, {"state": sequence.COMPLETE})


def ending(store: Store) -> Act:
    registration = registered(store)
    return lambda: sequence.end(store, registration, work_of(registration_of()))


def closing_rows(store: Store) -> Act:
    number = registered(store).import_seq
    return lambda: counts.close_rows(store, DOMAIN, PARTITIONS, number)


def raising_floors(store: Store) -> Act:
    number = registered(store).import_seq
    return lambda: counts.raise_floors(store, DOMAIN, PARTITIONS, number)


def taking_over(store: Store) -> Act:
    applier = Applier(DOMAIN, store, KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    return lambda: applier.take_over([OwnedPartition(number) for number in range(PARTITIONS)])


def changing_a_connection(store: Store) -> Act:
    connection = Connection.model_validate({"version": 1, "kind": "connection", "name": "crm"})
    registry.put_connection(store, connection)
    return lambda: registry.change_connection(store, "crm", lambda found: found.model_copy(update={"description": "of the shop"}))


def noting_rejects(store: Store) -> Act:
    return lambda: replays.note_rejects(store, DOMAIN, 1, REJECTS)


def taking_rejects(store: Store) -> Act:
    ending(store)()
    return lambda: replays.take(store, DOMAIN, 1, 2, ["a", "b"])


def giving_rejects_back(store: Store) -> Act:
    taking_rejects(store)()
    return lambda: replays.give_back(store, DOMAIN, 1, 2, ["a"])


def noting_an_expiry(store: Store) -> Act:
    return lambda: expiries.note_expired(store, DOMAIN, 1_800_000_000)


def noting_an_export(store: Store) -> Act:
    return lambda: exports.note_export(store, DOMAIN, "crm", NOTE)


def keeping_what_is_exported(store: Store) -> Act:
    exports.note_export(store, DOMAIN, "crm", NOTE)
    bits = dict.fromkeys(range(PARTITIONS), b"\x80")

    def keep() -> None:
        exports.keep_exported(store, DOMAIN, "crm", NOTE.export_id, bits, exports.begin_reading(store, DOMAIN, PARTITIONS))

    return keep


def counting_what_is_exported(store: Store) -> Act:
    keeping_what_is_exported(store)()
    return lambda: exports.count_exported(store, DOMAIN, PARTITIONS, "crm", NOTE.export_id)


def dropping_what_was_not_exported(store: Store) -> Act:
    keeping_what_is_exported(store)()
    return lambda: exports.drop_exported(store, DOMAIN, PARTITIONS, NOTE.export_id)


def segments_registered(store: Store) -> Act:
    """The same whenever it is called, as a change that is planned again."""

    def register() -> int:
        before = segment_registry.read_segments(store, DOMAIN).defined
        after = evolve(before, (segment("vip", "a"),), (), schema_of(store)).after
        registration = Registration(DOMAIN, 0, "segments", "", "", "", None, None, schema_version=1, segments=encode_segments(after))
        return segment_registry.register_segments(store, registration, registration.token, after, [])

    return register


def beginning_generations(store: Store) -> Act:
    segments_registered(store)()
    registration = sequence.load_needed(store, DOMAIN, 1)
    return lambda: begin_generations(store, PARTITIONS, registration)


def switching_live(store: Store) -> Act:
    beginning_generations(store)()
    [pair] = read_states(store, DOMAIN, PARTITIONS)[0]
    identity, generation = map(int, pair.split("."))
    return lambda: segment_registry.switch_live(store, DOMAIN, {identity: generation})


def creating_an_upload_job(store: Store) -> Act:
    return lambda: upload_jobs.create(store, DOMAIN, JOB)


def uploaded(store: Store) -> upload_jobs.UploadJob:
    job = upload_jobs.create(store, DOMAIN, JOB)
    assert upload_jobs.note_upload(store, DOMAIN, job.id, registration_of().needed_source, "sealed").done
    return job


def starting_an_upload_job(store: Store) -> Act:
    job = uploaded(store)
    return lambda: upload_jobs.start(store, DOMAIN, job.id)


def stopping_an_upload_job(store: Store) -> Act:
    job = uploaded(store)
    upload_jobs.start(store, DOMAIN, job.id)
    return lambda: upload_jobs.ask_stop(store, DOMAIN, job.id)


def dropping_an_import(store: Store) -> Act:
    registered(store)
    state, _ = partitions.take_over(store, DOMAIN, 0)
    partitions.commit(store, state, new_profiles(0, range(3), rejects=b"some"))
    counts.raise_floors(store, DOMAIN, PARTITIONS, 1)
    return lambda: counts.drop_import(store, DOMAIN, PARTITIONS, 1)


CASES = [
    registering,
    telling_its_result,
    ending,
    closing_rows,
    raising_floors,
    dropping_an_import,
    taking_over,
    changing_a_connection,
    noting_rejects,
    taking_rejects,
    giving_rejects_back,
    noting_an_expiry,
    noting_an_export,
    keeping_what_is_exported,
    counting_what_is_exported,
    dropping_what_was_not_exported,
    segments_registered,
    beginning_generations,
    switching_live,
    creating_an_upload_job,
    starting_an_upload_job,
    stopping_an_upload_job,
]


@pytest.mark.spec("B1")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_redis_came_back_without_is_not_taken_for_written(
    own_valkey: Callable[[], ValkeyServer], case: Callable[[Store], Act]
) -> None:
    server = own_valkey()
    store = Shaken(RedisSettings(url=SecretStr(server.url)))
    act = case(with_domain(store))
    log = log_of_commands(server.options.data_directory)
    size = log.stat().st_size

    def cut() -> None:
        server.kill()
        assert log.stat().st_size > size, "it has written nothing"
        with log.open("r+b") as file:
            file.truncate(size)
        own_valkey()

    store.cut = cut
    with pytest.raises(TransientError) as caught:
        act()
    assert store.cut is None
    assert caught.value.code in ("WRITE_LOST", "REGISTRATION_LOST")
    act()


@pytest.mark.spec("U5")
def test_an_upload_that_another_replaced_at_once_is_not_lost(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are told so; each knows which one it has replaced."""
    store = Shaken(RedisSettings(url=SecretStr(valkey.url)))
    job = upload_jobs.create(with_domain(store), DOMAIN, JOB)
    sources = [registration_of(f"in/{name}.csv").needed_source for name in "ab"]
    moments, later = iter([10.0, 10.001]), list[upload_jobs.Changed]()
    monkeypatch.setattr(upload_jobs, "_now", lambda: next(moments))
    store.cut = lambda: later.append(upload_jobs.note_upload(store, DOMAIN, job.id, sources[1], "sealed b"))
    first = upload_jobs.note_upload(store, DOMAIN, job.id, sources[0], "sealed a")
    assert first == upload_jobs.Changed(done=True, status="CREATED")
    assert later == [upload_jobs.Changed(done=True, status="CREATED", before=sources[0])]
    found = upload_jobs.find(store, DOMAIN, job.id)
    assert found is not None
    assert (found.source, found.sealed_key) == (sources[1], "sealed b")
