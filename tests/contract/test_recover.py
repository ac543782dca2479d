"""`headrace recover`: a store that came back from a backup has again what it lost (SPEC R5)."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.cli.recover import recover_domains
from headrace.cli.terminal import Form, Terminal
from profile_store import sequence
from profile_store.exchange import read_exchange
from streaming.importing.announce import StoreBehindError
from streaming.importing.recover import recover
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from streaming.kafka import client_config, imports_topic
from streaming.topics import partitions_of
from tests.contract.lost_store import World, goals, people, table
from tests.integration.exported import export, export_goal
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.segmented import make_segment


@pytest.fixture
def world(
    own_valkey: Callable[[], ValkeyServer],
    apache_kafka: str,
    empty_s3: S3Server,
    domain_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    return World(real, server, own_valkey, domain_name)


def lose_two_and_a_half(world: World) -> None:
    """A backup after the first import; then the second, half of the third, and the store is back at the backup."""
    world.imports(0, "a.csv", table(1))
    backup = world.backup()
    world.imports(1, "b.csv", table(2))
    third = table(3)
    world.expect(0, third)
    world.begins(0, "c.csv", third)
    world.await_rows(3, len(third) // 2)
    world.restore(backup)


@pytest.mark.spec("R5", "B1")
def test_what_a_restored_store_lacks_is_imported_again_in_order(world: World) -> None:
    """The workers never stopped: what they know of their partitions is not true any more. Kafka's committed offsets are ahead."""
    with world.real.workers(world.domain, 2):
        lose_two_and_a_half(world)
        assert sequence.last_number(world.real.store, world.domain) == 1
        found = recover(world.real.context, world.domain, "operator")
        assert [(one.registration.import_seq, one.lost) for one in found.imports] == [(2, True), (3, True)]
        assert {one.registration.import_seq: one.result.outcomes for one in found.imports if one.result} == {
            number: world.expected[number] for number in (2, 3)
        }
        world.is_as_expected()
        assert recover(world.real.context, world.domain, "operator").imports == ()
        world.is_as_expected()
        world.imports(1, "d.csv", table(4))
        world.is_as_expected()


@pytest.mark.spec("R5", "B1")
def test_a_recovery_that_is_killed_midway_and_repeated(world: World, tmp_path: Path) -> None:
    """Through the command, as an operator does it."""
    log = tmp_path / "recover.log"
    with world.real.workers(world.domain, 2):
        lose_two_and_a_half(world)
        for import_seq in (2, 3):
            with world.real.process("-m", "headrace", "recover", world.domain, log=log) as process:
                eventually(lambda: world.rows_of(import_seq) > 200 or process.poll() is not None, within=60, what="some rows are applied")  # noqa: B023
                process.send_signal(signal.SIGKILL)
            sequence.drop_lease(world.real.store, world.domain, import_seq)  # as if its 15 seconds had passed
        last = tmp_path / "last.log"
        with world.real.process("-m", "headrace", "recover", world.domain, "--json", log=last) as process:
            assert process.wait(120) == 0, last.read_text()
        again = tmp_path / "again.log"
        with world.real.process("-m", "headrace", "recover", world.domain, "--json", log=again) as process:
            assert process.wait(120) == 0, again.read_text()
    world.is_as_expected()
    text = again.read_text()
    assert json.loads(text[text.index("{") : text.rindex("}") + 1])["domains"] == [
        {"domain": world.domain, "imports": [], "exports_not_restored": []}
    ]


@pytest.mark.spec("R3", "R5")
def test_who_was_exported_after_the_backup_is_not_known_and_said_so(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = world.real
    real.set_environment(monkeypatch.setenv)
    out = export_goal(world.domain, columns=[{"kind": "profile_identifier", "header": "pid"}])
    connection = real.apply_goals(people(world.domain), [*goals(world.domain), out])
    with real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
        make_segment(real.store, world.domain, "everyone")
        first = export(real, connection, world.domain).exported
        backup = world.backup()
        world.imports(0, "b.csv", table(2))
        after = export(real, connection, world.domain).exported
        world.restore(backup)
        assert recover_domains(Terminal.of(Form.PEOPLE), [world.domain])
        [exchange] = read_exchange(real.store, ["crm"])
        assert first < after == exchange.imported
        assert exchange.exported == first
        assert (
            "what connection crm exported after the backup is in S3, and not counted any more by headrace exchange"
            in capsys.readouterr().err
        )
        assert export(real, connection, world.domain).exported == after
        assert read_exchange(real.store, ["crm"])[0].exported == after


@pytest.mark.spec("R5", "B1")
def test_no_number_is_given_twice_while_the_store_lacks_imports_that_kafka_knows(world: World) -> None:
    with world.real.workers(world.domain):
        lose_two_and_a_half(world)
        before = world.real.profiles(world.domain)
        with pytest.raises(StoreBehindError, match="headrace recover"):
            world.real.run(world.connection)
        assert sequence.last_number(world.real.store, world.domain) == 1
        assert world.real.profiles(world.domain) == before
        recover(world.real.context, world.domain, "operator")
    world.is_as_expected()


@pytest.mark.spec("B1")
def test_messages_of_a_lost_import_are_not_those_of_the_work_that_got_its_number(world: World) -> None:
    """The imports topic is gone too, or somebody chose to keep the older state: nothing tells that number 2 was given before, but its messages' token."""
    settings = world.real.settings.kafka
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
    backup = world.backup()
    world.begins(0, "lost.csv", table(2))  # no worker: its messages wait in Kafka
    world.restore(backup)
    admin, topic = AdminClient(client_config(settings)), imports_topic(settings, world.domain)
    admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: partitions_of(settings, topic) == 0, within=30, what="the imports topic is gone")
    other = table(3)
    world.expect(1, other)
    world.put(1, "other.csv", other)
    goal = world.connection.import_goals[1]
    [scanned] = scan_goal(world.real.context, world.connection, goal)
    assert register_import(world.real.context, world.connection, goal, scanned.version, "run-2").import_seq == 2
    world.expect(0, table(2))
    with world.real.workers(world.domain, 2):
        results = world.real.run(world.connection)
    assert [one.registration.import_seq for one in results] == [3], "which took up number 2 on its way"
    world.is_as_expected()
