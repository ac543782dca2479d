"""Exports from imported profiles to files in S3, on real servers: who is in them, whole or not at all, while imports go on, whatever is killed."""

from __future__ import annotations

import gzip
import itertools
import re
import threading
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.address import partition_of
from headrace.connections import Connection
from headrace.errors import TerminalError, TransientError
from headrace.goal_choice import chosen_exports
from object_store.access import connect
from object_store.writer import ObjectWriter
from profile_store import exports, registry
from profile_store import members as members_module
from profile_store.exchange import read_exchange
from profile_store.store import Store
from streaming.exporting import partition as partition_module
from streaming.exporting import write_export as writing
from streaming.exporting.available import count_available
from streaming.exporting.close_export import close_export
from streaming.exporting.format_members import format_members
from streaming.exporting.write_export import WrittenExport
from streaming.importing.context import Progress
from tests.integration.exported import COLUMNS, applied, export, export_goal, imported, nothing_is_left, rows_of
from tests.pipeline import Pipeline, access_to, pipeline
from tests.segmented import define_segment, make_segment
from tests.shop import customers, shop


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.mark.spec("E1", "E7", "R3")
def test_an_export_holds_every_member_with_a_value_once(real: Pipeline, domain_name: str) -> None:
    connection = applied(real, domain_name)
    imported(real, connection, domain_name)
    make_segment(real.store, domain_name, "everyone")
    make_segment(real.store, domain_name, "some", lambda identifier: identifier[0] < 128)

    written = export(real, connection, domain_name)

    expected = real.profiles(domain_name)
    rows = rows_of(real, written)
    assert [list(row) for row in rows[:1]] == [[one["header"] for one in COLUMNS]]
    assert {bytes.fromhex(row["pid"]) for row in rows} == set(expected)
    assert len(rows) == len(expected) == written.members == written.available == written.exported
    for row in rows:
        identifier = bytes.fromhex(row["pid"])
        profile: dict[str, Any] = expected[identifier]
        assert (row["id"], row["total"], row["day"]) == (profile["customer_id"], profile.get("total", ""), profile["last"])
        assert row["tags"] == "|".join(profile["tags"])
        assert row["in"] == ("everyone|some" if identifier[0] < 128 else "everyone")
        assert (row["level"], row["from"]) == ("", "headrace")
    assert [partition_of(bytes.fromhex(row["pid"]), 4) for row in rows] == sorted(
        partition_of(bytes.fromhex(row["pid"]), 4) for row in rows
    )
    assert [(one.connection, one.imported, one.exported) for one in read_exchange(real.store, ["crm"])] == [("crm", 97, 97)]
    nothing_is_left(real, domain_name)

    define_segment(real.store, domain_name, "not-built-yet")
    again = export(real, connection, domain_name)
    assert rows_of(real, again) == rows, "the same profiles in the same order; a segment that nobody has built yet is in no column of all"
    assert read_exchange(real.store, ["crm"])[0].exported == 97, "who is exported again counts once"


@pytest.mark.spec("E1")
def test_only_profiles_with_a_value_for_a_selected_property_are_exported(real: Pipeline, domain_name: str) -> None:
    """Who the consent does not keep out, and has no such value, is available and not exported (SPEC E2)."""
    tags = [{"kind": "property", "header": "first tag", "property": "tags"}, {"kind": "text", "header": "x", "text": "y"}]
    connection = applied(real, domain_name, columns=tags)
    real.put("crm", "in/a.csv", b"id,amount,day,tags\nC1,1,2026-01-01,a\nC2,2,2026-01-01,\nC3,,,b|c\n")
    with real.workers(domain_name):
        real.run(connection)
    make_segment(real.store, domain_name, "everyone")

    written = export(real, connection, domain_name)

    assert sorted(row["first tag"] for row in rows_of(real, written)) == ["a", "b|c"]
    assert (written.members, written.available, written.exported) == (3, 3, 2)
    assert read_exchange(real.store, ["crm"])[0].exported == 2


@pytest.mark.spec("E4", "E6")
def test_each_run_writes_a_new_file_of_the_segments_name_or_replaces_the_custom_one(real: Pipeline, domain_name: str) -> None:
    connection = applied(
        real,
        domain_name,
        destination={"bucket": "crm", "directory": "out/"},
        format={"multi_value": "|", "compression": "gzip"},
        replace_identifiers_with_file_name=True,
    )
    imported(real, connection, domain_name, 50)
    make_segment(real.store, domain_name, "everyone")

    first, second = export(real, connection, domain_name), export(real, connection, domain_name)

    assert first.key != second.key
    for one in (first, second):
        assert re.fullmatch(r"out/everyone-20\d{6}T\d{6}Z-[0-9a-f]{8}\.csv\.gz", one.key)
        assert {row["pid"] for row in rows_of(real, one)} == {one.key.removeprefix("out/")}
        assert len(gzip.decompress(connect(real.access, 1).get_object(Bucket="crm", Key=one.key)["Body"].read())) > one.size

    custom = applied(real, domain_name)
    assert export(real, custom, domain_name).key == export(real, custom, domain_name).key == "out/all.csv"
    assert len(list(real.objects.list_objects("crm", "out/"))) == 3


@pytest.mark.spec("E8")
def test_a_header_that_a_spreadsheet_would_run_is_made_text(real: Pipeline, domain_name: str) -> None:
    columns = [{"kind": "property", "header": "=HYPERLINK(1)", "property": "customer_id"}]
    connection = applied(real, domain_name, format={"multi_value": "|", "spreadsheet_safe": True}, columns=columns)
    imported(real, connection, domain_name, 10)
    make_segment(real.store, domain_name, "everyone")
    assert {header for row in rows_of(real, export(real, connection, domain_name)) for header in row} == {"'=HYPERLINK(1)"}


@pytest.mark.spec("E4")
def test_two_exports_of_one_segment_in_one_second_write_two_files(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two connections into one directory: the second begins, and ends, while the first goes on."""
    one, other = (
        applied(real, domain_name, connection, destination={"bucket": "crm", "directory": "out/"}) for connection in ("crm", "crm-2")
    )
    imported(real, one, domain_name, 50)
    make_segment(real.store, domain_name, "everyone")
    begin = exports.begin_reading
    found: list[WrittenExport] = []

    def begin_both(store: Store, domain: str, partitions: int) -> frozenset[str]:
        monkeypatch.setattr(exports, "begin_reading", begin)
        found.append(export(real, other, domain_name))
        return begin(store, domain, partitions)

    monkeypatch.setattr(writing, "datetime", Mock(now=Mock(return_value=datetime(2026, 1, 31, 12, tzinfo=UTC))))
    monkeypatch.setattr(exports, "begin_reading", begin_both)
    found.append(export(real, one, domain_name))

    keys = [version.key for version in real.objects.list_objects("crm", "out/")]
    assert sorted(written.key for written in found) == sorted(keys)
    assert len(keys) == len({key for key in keys if key.startswith("out/everyone-20260131T120000Z-")}) == 2
    assert all(len(rows_of(real, written)) == written.exported > 0 for written in found)


@pytest.mark.spec("E4")
def test_an_export_that_fails_leaves_the_old_file_and_nothing_else(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = applied(real, domain_name)
    imported(real, connection, domain_name, 50)
    make_segment(real.store, domain_name, "everyone")
    before = rows_of(real, export(real, connection, domain_name))

    def broken(*_arguments: object) -> None:
        raise TerminalError("The disk of the spool is full.")

    with monkeypatch.context() as patched:
        patched.setattr(partition_module, "format_members", broken)
        with pytest.raises(TerminalError):
            export(real, connection, domain_name)

    nothing_is_left(real, domain_name)
    written = export(real, connection, domain_name)
    assert rows_of(real, written) == before


def test_progress_moves_while_one_partition_is_read_and_while_it_is_written(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = applied(real, domain_name)
    imported(real, connection, domain_name)
    make_segment(real.store, domain_name, "everyone")
    told, moved, chunks = list[Progress](), threading.Event(), itertools.count()

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.done:
            moved.set()

    def waiting(*arguments: Any) -> Any:
        if next(chunks) > 3:
            assert moved.wait(120), "nothing moves before the first partition is read"
        return format_members(*arguments)

    monkeypatch.setattr(partition_module, "format_members", waiting)
    monkeypatch.setattr(members_module, "CHUNK", 5)
    monkeypatch.setattr(writing, "COPY_BYTES", 200)
    [goal] = chosen_exports(connection)
    written = writing.write_export(replace(real.context, report=report), connection, goal)
    close_export(real.store, domain_name, connection.name, written.export_id)

    assert told[0].detail.endswith(" of 97 profiles read, 0 written")
    assert told[-1] == Progress("exporting", 97, 97, "97 of 97 profiles read, 97 written")
    done = [one.done for one in told]
    assert done == sorted(done)
    assert len(set(done)) > 12, "partitions are four"


def consenting(real: Pipeline, domain_name: str, **more: Any) -> Connection:
    """A shop whose people answer which objectives they consent to, and 60 of them; `more`: a property, and its column."""
    goal = customers(domain_name)
    goal["mappings"] = [*goal["mappings"], {"column": "ok", "property": "consents", "rule": "set"}]
    domain = {**shop(domain_name), "objectives": ["newsletter", "ads"]}
    if more:
        goal["mappings"].append({"column": "day", "property": more["name"], "rule": "set"})
        domain["properties"] = [*domain["properties"], more]
    goals = [{"kind": "import_profiles", "name": "Customers", **goal}, export_goal(domain_name)]
    everybody = real.apply_goals(domain, goals)
    answers = ("newsletter|ads", "ads", "")
    rows = "".join(f"C{n},{n},2026-01-01,a,{answers[n % 3]}\n" for n in range(60))
    real.put("crm", "in/a.csv", f"id,amount,day,tags,ok\n{rows}".encode())
    with real.workers(domain_name):
        real.run(everybody)
    return real.apply_goals(domain, goals, objectives=["newsletter"])


@pytest.mark.spec("P1", "E2")
def test_a_connection_with_objectives_exports_only_who_consented(real: Pipeline, domain_name: str) -> None:
    asking = consenting(real, domain_name)
    make_segment(real.store, domain_name, "everyone")

    [goal_of_export] = chosen_exports(asking)
    assert count_available(real.store, asking, goal_of_export) == 20
    written = export(real, asking, domain_name)

    assert {row["id"] for row in rows_of(real, written)} == {f"C{n}" for n in range(0, 60, 3)}
    assert (written.members, written.available, written.exported) == (60, 20, 20)
    everybody = asking.model_copy(update={"objectives": ()})
    assert len(rows_of(real, export(real, everybody, domain_name))) == 60


@pytest.mark.spec("E2")
def test_who_is_available_is_counted_while_the_schema_grows(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records have a property more than there was when the count began."""
    consenting(real, domain_name)
    make_segment(real.store, domain_name, "everyone")
    earlier, get_domain = [registry.get_domain(real.store, domain_name)], registry.get_domain
    asking = consenting(real, domain_name, name="seen", type="date")
    [goal] = chosen_exports(asking)
    monkeypatch.setattr(registry, "get_domain", lambda *asked: earlier.pop() if earlier else get_domain(*asked))
    assert count_available(real.store, asking, goal) == 20
    assert not earlier


@pytest.mark.spec("E1")
def test_each_partition_is_of_one_commit_version_while_imports_go_on(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each import sets one value in every profile, by one commit in each partition: profiles of a partition that differ are of two versions."""
    monkeypatch.setattr(members_module, "CHUNK", 40)
    goal = {**customers(domain_name), "mappings": [{"column": "day", "property": "last"}]}
    columns = [{"kind": "profile_identifier", "header": "pid"}, {"kind": "property", "header": "day", "property": "last"}]
    goals = [{"kind": "import_profiles", "name": "Customers", **goal}, export_goal(domain_name, columns=columns)]
    connection = real.apply_goals(shop(domain_name, partitions=2), goals)
    count = 3_000

    def put(number: int) -> None:
        day = f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}"
        real.put("crm", "in/a.csv", "".join(["id,day\n", *(f"C{one},{day}\n" for one in range(count))]).encode())

    put(0)
    ended, done = threading.Event(), [0]

    def import_on() -> None:
        while not ended.is_set():
            done[0] += 1
            put(done[0])
            real.run(connection)

    with real.workers(domain_name, 2):
        real.run(connection)
        make_segment(real.store, domain_name, "everyone")
        importer = threading.Thread(target=import_on)
        importer.start()
        try:
            exports = 0
            while importer.is_alive() and (exports < 5 or done[0] < 3):
                exports += 1
                written = export(real, connection, domain_name)
                rows = rows_of(real, written)
                assert len(rows) == written.exported == len({row["pid"] for row in rows}) == count
                versions = defaultdict(set)
                for row in rows:
                    versions[partition_of(bytes.fromhex(row["pid"]), 2)].add(row["day"])
                assert all(len(one) == 1 for one in versions.values()), versions
        finally:
            ended.set()
            importer.join()
    assert done[0] > 2, "imports went on meanwhile"


@pytest.mark.spec("E4", "R3")
def test_a_file_whose_completion_had_no_answer_is_the_runs_file(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun again it would be there twice, under two names."""
    connection = applied(real, domain_name, destination={"bucket": "crm", "directory": "out/"})
    imported(real, connection, domain_name)
    make_segment(real.store, domain_name, "everyone")
    finish = ObjectWriter.finish

    def finish_unheard(writer: ObjectWriter) -> None:
        finish(writer)
        writer._ended = False
        raise TransientError("S3 does not answer.", code="S3_UNAVAILABLE")

    monkeypatch.setattr(ObjectWriter, "finish", finish_unheard)
    written = export(real, connection, domain_name)
    assert [one.key for one in real.objects.list_objects("crm", "out/")] == [written.key]
    assert len(rows_of(real, written)) == written.exported == 97
    assert read_exchange(real.store, ["crm"])[0].exported == 97
    nothing_is_left(real, domain_name)
