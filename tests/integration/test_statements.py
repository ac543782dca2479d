"""The statements about import files, each through the real path: S3 protocol, Apache Kafka, Valkey, a merge worker."""

from __future__ import annotations

import gzip
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connection_checks import validate_against
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.errors import TerminalError
from headrace.formats import FileFormat
from headrace.yaml_source import Configuration
from object_store.access import connect
from profile_store import counts, keys, ledger, sequence
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.importing.await_turn import finish
from streaming.importing.close import COMPLETE, FAILED, ImportResult
from streaming.importing.context import ImportContext, Progress
from streaming.importing.drive import drive
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from tests.polling import eventually
from tests.running import COLUMNS, MAPPINGS, Running, Work, csv_of, domain_of, running
from tests.servers.cut_proxy import CutProxy


@pytest.fixture(scope="module")
def headrace(valkey_server: ValkeyServer, apache_kafka: str, s3_server: S3Server) -> Iterator[Running]:
    with running(valkey_server, apache_kafka, s3_server) as made:
        yield made


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


@pytest.mark.spec("I1", "M3")
def test_the_first_line_names_the_columns_whatever_their_order(headrace: Running) -> None:
    work = headrace.work()
    result = work.load(
        csv_of(("secret", "5", *work.row(1), "2026-01-31", "a|b", "Ana"), columns=("x", "total", "id", "day", "tags", "name"))
    )
    assert result.outcomes.as_dict() == {"created": 1, "updated": 0, "unchanged": 0, "skipped": 0, "rejected": 0, "cells": 0}
    assert work.profiles() == {"1": {"customer_id": f"{work.name}-1", "name": "Ana", "total": "5", "tags": ("a", "b"), "day": "2026-01-31"}}


@pytest.mark.spec("I2")
def test_profiles_are_matched_updated_and_created_in_the_goals_domain_alone(headrace: Running, domain_name: str) -> None:
    work, real = headrace.work(), headrace.pipeline
    assert work.load(csv_of(work.row(1, "here"))).outcomes.created == 1
    here = real.profiles(headrace.domain["name"])
    other = {**work.goal, "domain": domain_name, "allow_creation": False}
    connection = real.apply(domain_of(domain_name), other, f"{work.name}-other")
    with real.workers(domain_name):
        [skipped] = real.run(connection)
        assert (skipped.outcomes.skipped, skipped.outcomes.rows) == (1, 1)
        connection = real.apply(domain_of(domain_name), {**other, "allow_creation": True}, f"{work.name}-other")
        [created] = real.run(connection)
    assert created.outcomes.created == 1
    assert real.profiles(headrace.domain["name"]) == here
    there = real.profiles(domain_name)
    assert list(there.values()) == list(work.profiles().values())
    assert not set(there) & set(here)


@pytest.mark.spec("I3")
@pytest.mark.parametrize(
    ("source", "chosen"),
    [
        ({"files": "10-import.csv"}, {"10-import.csv"}),
        ({"files": "*.csv"}, {"10-import.csv", "b.csv"}),
        ({"files": "*import*"}, {"10-import.csv", "import.txt"}),
        ({"files": "**/*.csv"}, {"10-import.csv", "b.csv", "deep/er/import.csv"}),
        ({"files": "deep/*/*"}, {"deep/er/import.csv"}),
        ({"files": None, "regex": r"(deep/.*/)?import\.(csv|txt)"}, {"import.txt", "deep/er/import.csv"}),
    ],
)
def test_files_are_chosen_by_name_wildcards_or_expression_and_never_what_headrace_wrote(
    headrace: Running, source: Any, chosen: set[str]
) -> None:
    work = headrace.work()
    for name in ("10-import.csv", "b.csv", "import.txt", "deep/er/import.csv", "_headrace/rejects/import.csv", "deep/_headrace/import.csv"):
        work.put(name, csv_of())
    headrace.pipeline.put(work.bucket, f"outside-{work.directory}import.csv", csv_of())
    work.change(source={**work.goal["source"], **source})
    assert set(work.statuses()) == chosen


@pytest.mark.spec("I6")
@pytest.mark.parametrize("separator", [",", ";", "|", "\t", "§", "¦", "x"])
def test_any_single_character_separates_fields(headrace: Running, separator: str) -> None:
    work = headrace.work(format={"separator": separator})
    result = work.load(csv_of(work.row(1, f"a{separator}b", "1.5"), work.row(2, "b"), work.row(3, "c"), separator=separator) + b"one\n")
    assert (result.outcomes.created, result.outcomes.rejected) == (3, 1)
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": f"a{separator}b", "total": "1.5"}
    header, rows = work.rejects(result)
    own = ("reject", "line", "offset", "column", "code", "message", "raw")
    assert header == [*(f"_headrace_{name}" for name in own), *COLUMNS]
    assert [(row[1], row[4], row[6]) for row in rows] == [("5", "WRONG_COLUMN_COUNT", "one")]


@pytest.mark.spec("I7", "I8", "M11")
def test_decimal_and_multi_value_separators(headrace: Running) -> None:
    work = headrace.work(format={"separator": ";", "decimal": ",", "multi_value": "/"})
    cells = ("1,5", "-0,25", "1.5", "1.000,5", "€1", "1,000.00")
    result = work.load(csv_of(*(work.row(1, "n", cell, "a/b/a") for cell in cells), separator=";"))
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": "n", "total": "1.25", "tags": ("a", "b")}
    assert work.reasons(result) == [(f"{line}", "total", "NOT_A_NUMBER") for line in (4, 5, 6, 7)]


@pytest.mark.spec("I8")
def test_the_multi_value_separator_must_differ_from_the_field_separator() -> None:
    with pytest.raises(ValueError, match="must differ from the field separator"):
        FileFormat(separator="|", multi_value="|")
    with pytest.raises(ValueError, match="must differ from the field separator"):
        FileFormat(multi_value=",")


@pytest.mark.spec("I10")
def test_a_file_is_imported_again_only_if_it_or_the_configuration_changed(headrace: Running) -> None:
    work = headrace.work()
    assert work.load(csv_of(work.row(1, "Ana", "2"))).state == COMPLETE
    assert work.statuses() == {"a.csv": "imported"}
    assert work.run() == []
    work.put("a.csv", csv_of(work.row(1, "Ana", "3")))
    assert work.statuses() == {"a.csv": "changed"}
    assert len(work.run()) == 1
    assert work.profiles()["1"]["total"] == "5"
    work.change(mappings=[one for one in MAPPINGS if one["column"] != "day"])
    assert "configuration" in work.scan()[0].reason
    assert len(work.run()) == 1
    assert work.profiles()["1"]["total"] == "8", "sums apply again"
    assert work.run() == []


@pytest.mark.spec("I10", "C3")
def test_the_ledger_belongs_to_the_goals_id(headrace: Running) -> None:
    work = headrace.work(id="customers")
    assert work.load(csv_of(work.row(1, "Ana", "2"), ("", "no id"))).outcomes.rejected == 1
    work.change(name="Another name", active=True)
    assert work.statuses() == {"a.csv": "imported"}, "whatever was rejected"
    work.change(id="copied")
    assert work.statuses() == {"a.csv": "new"}


@pytest.mark.spec("I10")
def test_on_change_skip_leaves_imported_files_alone_but_not_new_versions(headrace: Running) -> None:
    work = headrace.work(on_change="skip")
    work.load(csv_of(work.row(1, "Ana", "2")))
    work.change(mappings=MAPPINGS[:2])
    assert work.statuses() == {"a.csv": "skipped"}
    assert work.run() == []
    assert work.load(csv_of(work.row(1, "Ana", "40"))).state == COMPLETE
    assert work.profiles()["1"]["total"] == "42"


@pytest.mark.spec("I10", "I11")
def test_a_failed_import_is_taken_up_again_and_the_domain_is_not_blocked(headrace: Running) -> None:
    work = headrace.work()
    work.put("a.csv", csv_of(columns=("id", "name")))
    work.put("b.csv", csv_of(work.row(1, "Ana")))
    assert [(one.state, one.reason[:14]) for one in work.run()] == [(FAILED, "COLUMN_MISSING"), (COMPLETE, "")]
    assert work.statuses() == {"a.csv": "failed", "b.csv": "imported"}
    assert [one.state for one in work.run()] == [FAILED]
    work.put("a.csv", csv_of(work.row(2, "Bea")))
    assert [one.state for one in work.run()] == [COMPLETE]
    assert sorted(work.profiles()) == ["1", "2"]


@pytest.mark.spec("I11")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings_by_setting_and_a_byte_order_mark_is_stripped(headrace: Running, encoding: str) -> None:
    work = headrace.work(format={"encoding": "utf-8" if encoding == "utf-8-sig" else encoding})
    text = csv_of(work.row(1, 'Crème\n"brûlée"'), work.row(2, "Zoë")).decode()
    assert work.load(text.encode(encoding)).outcomes.created == 2
    assert [one["name"] for _, one in sorted(work.profiles().items())] == ['Crème\n"brûlée"', "Zoë"]


@pytest.mark.spec("I11")
@pytest.mark.parametrize(
    ("compress", "name"), [(gzip.compress, "a.csv.gz"), (gzip.compress, "plain-name.csv"), (zstd, "a.csv.zst"), (zstd, "a.csv")]
)
def test_gzip_and_zstd_of_several_members_by_extension_or_magic(headrace: Running, compress: Any, name: str) -> None:
    work = headrace.work()
    data = csv_of(work.row(1, "Crème\nbrûlée"), work.row(2, "Zoë"))
    middle = data.index(b"br")
    assert work.load(compress(data[:middle]) + compress(b"") + compress(data[middle:]), name).outcomes.created == 2
    assert work.profiles()["1"]["name"] == "Crème\nbrûlée"


@pytest.mark.spec("I11")
def test_zip_is_refused_with_a_clear_error(headrace: Running) -> None:
    work, packed = headrace.work(), BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", csv_of(work.row(1)))
    result = work.load(packed.getvalue(), "a.csv.zip")
    assert (result.state, result.outcomes.rows) == (FAILED, 0)
    assert result.reason.startswith("UNSUPPORTED_FORMAT: ")
    assert "a.csv.zip is a zip archive" in result.reason


ROWS = 130_000
"""Some 3 MB: more than the splitter reads at once."""


def large(work: Work, name: str) -> bytes:
    return csv_of(*(work.row(n % 500, name, "1") for n in range(ROWS)))


def replaced_midway(headrace: Running, work: Work) -> list[ImportResult]:
    """Imports a file that is replaced when some of its rows are applied and the rest is not read: the connection breaks, too."""
    real, domain = headrace.pipeline, headrace.domain["name"]
    before = sequence.domain_floor(real.store, domain)
    done = threading.Event()
    host, port = str(real.access.endpoint_url).removeprefix("http://").split(":")
    with CutProxy(host, int(port)) as proxy:

        def replace_object(progress: Progress) -> None:
            if progress.phase == "publishing" and progress.done and not done.is_set():
                done.set()
                eventually(
                    lambda: counts.progress(real.store, domain, 2, before + 1).outcomes.rows > 0, within=30, what="some rows are applied"
                )
                work.put("a.csv", csv_of(work.row("new", "new", "7")))

        context = headrace.context(replace_object, replace(real.access, endpoint_url=f"http://{proxy.host}:{proxy.port}"))
        [scanned] = scan_goal(context, work.connection, work.connection.import_goals[0])
        registration = register_import(context, work.connection, work.connection.import_goals[0], scanned.version, "run")
        proxy.cut(2_500_000)
        result = finish(context, registration, "run")
        assert proxy.cuts == 1
    assert done.is_set()
    return [result, *work.run()]


@pytest.mark.spec("I12")
@pytest.mark.parametrize("kind", ["pinned copy", "versioned bucket"])
def test_an_object_replaced_mid_import_does_not_touch_the_import(headrace: Running, kind: str) -> None:
    work = headrace.work(versioned=kind == "versioned bucket")
    work.put("a.csv", large(work, "old"))
    first, second = replaced_midway(headrace, work)
    assert (first.state, first.outcomes.rows, first.outcomes.created) == (COMPLETE, ROWS, 500)
    assert (second.state, second.outcomes.created) == (COMPLETE, 1)
    profiles = work.profiles()
    assert profiles.pop("new")["total"] == "7"
    assert {(one["name"], one["total"]) for one in profiles.values()} == {("old", str(ROWS // 500))}
    assert (first.registration.needed_source.pinned_key is None) == (kind == "versioned bucket")
    assert work.own_keys() == [], "the pinned copy is gone"


@pytest.mark.spec("I12")
def test_an_unpinned_object_replaced_mid_import_ends_it_failed_with_its_rows_on_record(headrace: Running) -> None:
    work = headrace.work(pin="never")
    work.put("a.csv", large(work, "old"))
    first, second = replaced_midway(headrace, work)
    assert (first.state, first.reason.split(":")[0]) == (FAILED, "SOURCE_CHANGED")
    assert 0 < first.outcomes.rows < ROWS
    assert (second.state, second.outcomes.rows) == (COMPLETE, 1)
    profiles = work.profiles()
    assert profiles.pop("new")["name"] == "new"
    assert sum(int(str(one["total"])) for one in profiles.values()) == first.outcomes.rows
    assert work.statuses() == {"a.csv": "imported"}


@pytest.mark.spec("I12")
def test_a_bucket_without_versions_is_copied_from_until_the_import_is_complete(headrace: Running) -> None:
    work, real = headrace.work(), headrace.pipeline
    work.put("a.csv", csv_of(work.row(1, "Ana")))
    [scanned] = work.scan()
    registration = register_import(real.context, work.connection, work.connection.import_goals[0], scanned.version, "run")
    [copy] = work.own_keys()
    assert copy.startswith("_headrace/pinned/")
    connect(real.access, 1).delete_object(Bucket=work.bucket, Key=scanned.version.key)
    assert finish(real.context, registration, "run").outcomes.created == 1
    assert work.own_keys() == []


@pytest.mark.spec("I13")
def test_files_are_imported_in_the_order_of_last_modified_then_key(headrace: Running) -> None:
    work = headrace.work()
    work.put("z.csv", csv_of(work.row(1, "z", "", "z")))
    [first] = work.scan()
    eventually(lambda: time.time() > first.version.last_modified.timestamp() + 1.05, within=5, what="S3's clock, of whole seconds, goes on")
    for name in ("c", "a", "b"):
        work.put(f"{name}.csv", csv_of(work.row(1, name, "", name)))
    results = work.run()
    order = [result.registration.needed_source.key[-5] for result in results]
    modified = [(one.version.last_modified, one.version.key) for one in work.scan()]
    assert modified == sorted(modified)
    assert order[0] == "z"
    assert order == [key[-5] for _, key in modified]
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": order[-1], "tags": tuple(order)}
    assert [result.registration.import_seq for result in results] == list(
        range(results[0].registration.import_seq, results[0].registration.import_seq + 4)
    )


@pytest.mark.spec("I13")
def test_goals_are_imported_in_their_listed_order(headrace: Running) -> None:
    work, real = headrace.work(), headrace.pipeline
    work.put("z.csv", csv_of(work.row(1, "first", "", "first")))
    work.put("a.csv", csv_of(work.row(1, "second", "", "second")))
    goals = [
        {"kind": "import_profiles", **work.goal, "name": name, "source": {**work.goal["source"], "files": name}}
        for name in ("z.csv", "a.csv")
    ]
    connection = Connection.model_validate({"version": 1, "kind": "connection", "name": work.name, "goals": goals})
    apply_configuration(real.context, plan_configuration(real.store, Configuration({}, {work.name: connection})), "")
    assert [one.registration.goal for one in real.run(connection)] == ["z-csv", "a-csv"]
    assert work.profiles()["1"]["tags"] == ("first", "second")


@pytest.mark.spec("M12", "I13")
def test_imports_of_a_domain_take_effect_one_after_the_other_even_if_the_first_was_left_alone(headrace: Running) -> None:
    """The first import's run is gone before it began: who comes next finishes it first."""
    one, real = headrace.work(), headrace.pipeline
    two = headrace.work()
    one.put("a.csv", csv_of((f"{one.name}-1", "one", "1", "one")))
    two.put("a.csv", csv_of((f"{one.name}-1", "two", "2", "two")))
    [scanned] = one.scan()
    register_import(real.context, one.connection, one.connection.import_goals[0], scanned.version, "a run that died")
    assert [result.state for result in two.run()] == [COMPLETE]
    assert one.run() == [], "it is in the ledger"
    assert one.profiles()["1"] == {"customer_id": f"{one.name}-1", "name": "two", "total": "3", "tags": ("one", "two")}


@pytest.mark.spec("R4")
def test_the_outcomes_of_an_import_add_up_to_the_rows_read(headrace: Running) -> None:
    work = headrace.work()
    work.load(csv_of(*(work.row(n, "Ana", "1") for n in range(10))))
    work.change(allow_creation=False, source={**work.goal["source"], "files": "b.csv"})
    rows = [work.row(n, "Ana" if n % 2 else "Bea", "x" if n % 3 else "") for n in range(20)]
    result = work.load(csv_of(*rows, ("", "no id")) + b"short\n", "b.csv")
    assert result.outcomes.as_dict() == {"created": 0, "updated": 5, "unchanged": 5, "skipped": 10, "rejected": 2, "cells": 13}
    assert result.outcomes.rows == 22


@pytest.mark.spec("R4")
def test_nothing_is_complete_where_the_outcomes_do_not_add_up(headrace: Running, domain_name: str) -> None:
    """Counts that can't be: one row too many. No worker runs in this domain."""
    real, work = headrace.pipeline, headrace.work()
    connection = real.apply(domain_of(domain_name), {**work.goal, "domain": domain_name}, f"{work.name}-more")
    work.put("a.csv", csv_of(work.row(1)))
    goal = connection.import_goals[0]
    [scanned] = scan_goal(real.context, connection, goal)
    registration = register_import(real.context, connection, goal, scanned.version, "run")
    real.store.node_of(keys.tally(domain_name, 1, 1)).hset(keys.tally(domain_name, 1, 1), "created", 2)
    with pytest.raises(TerminalError) as caught:
        drive(real.context, registration)
    assert caught.value.code == "NOT_CONSERVED"
    assert ledger.read_ledger(real.store, domain_name, connection.name, goal.id) == {}
    assert sequence.domain_floor(real.store, domain_name) == 0


@pytest.mark.spec("M1")
def test_one_link_at_least_to_an_identifier_and_nothing_else(headrace: Running) -> None:
    work = headrace.work()
    with pytest.raises(ValueError, match="link"):
        work.change(link=[])
    domain = Domain.model_validate({"version": 1, "kind": "domain", **headrace.domain})
    for wanted, problems in (("customer_id", 0), ("profile_identifier", 0), ("name", 1), ("total", 1), ("no such property", 1)):
        connection = work.connection.model_copy(deep=True)
        goal = connection.import_goals[0]
        linked = goal.model_copy(update={"link": (goal.link[0].model_copy(update={"property": wanted}),)})
        found = validate_against(connection.model_copy(update={"goals": (linked,)}), {domain.name: domain})
        assert len(found) == problems


@pytest.mark.spec("M1", "M2")
def test_a_column_linked_to_the_profile_identifier(headrace: Running) -> None:
    work = headrace.work()
    work.load(csv_of(work.row(1, "Ana", "1")))
    domain = headrace.domain["name"]
    [identifier] = [one for one, profile in headrace.pipeline.profiles(domain).items() if profile.get("customer_id") == f"{work.name}-1"]
    work.change(link=[{"column": "id", "property": "profile_identifier"}], source={**work.goal["source"], "files": "b.csv"})
    fresh = "ab" * 16
    nobody = "0" * 32  # what stands in the place of an erased profile
    bad = (("no identifier", "x"), ("", "y"), (nobody, "z"))
    result = work.load(csv_of((identifier.hex().upper(), "Bea", "2"), (fresh, "new", "1"), *bad), "b.csv")
    assert (result.outcomes.created, result.outcomes.updated, result.outcomes.rejected) == (1, 1, 3)
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": "Bea", "total": "3"}
    assert headrace.pipeline.profiles(domain)[bytes.fromhex(fresh)] == {"name": "new", "total": "1"}
    assert work.reasons(result) == [("4", "", "INVALID_IDENTIFIER"), ("5", "", "NO_IDENTIFIER"), ("6", "", "INVALID_IDENTIFIER")]


@pytest.mark.spec("M1", "M2", "M10", "B2")
def test_the_first_link_that_is_not_blank_is_used_and_the_others_are_bound_or_conflict(headrace: Running) -> None:
    work = headrace.work(link=[{"column": "id", "property": "customer_id"}, {"column": "who", "property": "profile_identifier"}])
    columns, who = (*COLUMNS, "who"), uuid.uuid4().hex
    first = work.load(csv_of((*work.row(1, "Ana", "1"), "", "", who), columns=columns))
    assert (first.outcomes.created, first.outcomes.cells) == (1, 0)
    rows = [
        ("", "Eva", "2", "", "", who.upper()),
        (*work.row(2, "Bea", "4"), "", "", who),
        ("", "nobody"),
        (*work.row(1, "", ""), "", "", who),
    ]
    second = work.load(csv_of(*rows, columns=columns), "b.csv")
    counts = second.outcomes
    assert (counts.created, counts.updated, counts.unchanged, counts.rejected, counts.cells) == (1, 1, 1, 1, 1)
    assert work.profiles() == {
        "1": {"customer_id": f"{work.name}-1", "name": "Eva", "total": "3"},
        "2": {"customer_id": f"{work.name}-2", "name": "Bea", "total": "4"},
    }
    assert work.reasons(second) == [("3", "who", "IDENTIFIER_CONFLICT"), ("4", "", "NO_IDENTIFIER")]


def test_progress_is_told_while_an_import_goes_on(headrace: Running) -> None:
    work, phases = headrace.work(), list[str]()
    work.put("a.csv", csv_of(work.row(1), ("", "no id")))
    context: ImportContext = headrace.context(lambda progress: phases.append(progress.phase))
    work.run(context)
    assert list(dict.fromkeys(phases)) == ["publishing", "merging", "rejects"]
