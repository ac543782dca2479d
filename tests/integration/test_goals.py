"""Goals added, renamed, copied, deleted, activated and deactivated, none of which touches the others (SPEC C3, C4), on a real store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.cli.goal import list_connections
from headrace.cli.servers import opened
from headrace.cli.terminal import Form, Terminal
from headrace.connections import Connection
from headrace.errors import TerminalError
from profile_store import audit, keys, ledger, registry
from profile_store.ledger import LedgerEntry
from streaming.importing import change_goals
from streaming.importing.close import result_of
from streaming.importing.pinned_copy import pinned_version
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.shop import as_csv, customers, purchases, shop

SCHEDULE = [{"every_minutes": 15}]


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Pipeline:
    return pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(s3_server))


def goal(domain: str, goal_id: str, **more: Any) -> dict[str, Any]:
    return {**customers(domain), "kind": "import_profiles", "id": goal_id, "name": goal_id.capitalize(), **more}


@pytest.fixture
def domain(real: Pipeline, domain_name: str) -> str:
    """With connection `crm` and its goals `first` and `second`, which have imported a file each."""
    real.apply_goals(shop(domain_name), [goal(domain_name, "first"), goal(domain_name, "second")], schedule=SCHEDULE)
    for number, name in enumerate(("first", "second"), start=1):
        entry = LedgerEntry("identity", "configuration", number, "COMPLETE", "2026-01-01T00:00:00Z", 5)
        note(real, domain_name, name, entry)
    return domain_name


def note(real: Pipeline, domain: str, goal_id: str, entry: LedgerEntry) -> None:
    """As the end of an import does."""
    real.store.client.hset(keys.ledger(domain, "crm", goal_id), ledger.field_of("crm", "in/a.csv"), entry.as_json())


def stored(real: Pipeline) -> Connection:
    return registry.get_connection(real.store, "crm")


def known(real: Pipeline, domain: str) -> dict[str, int]:
    """Goal → how many files its ledger has."""
    return {one.id: len(ledger.read_ledger(real.store, domain, "crm", one.id)) for one in stored(real).goals}


@pytest.mark.spec("C3", "C4")
def test_switching_a_goal_changes_nothing_else(real: Pipeline, domain: str) -> None:
    before = stored(real)
    change_goals.set_activity(real.store, "crm", "first", active=False)
    off = stored(real)
    assert [one.active for one in off.goals] == [False, True]
    assert (off.goals[1], off.schedule, off.enabled) == (before.goals[1], before.schedule, True)
    change_goals.set_activity(real.store, "crm", "first", active=True)
    assert stored(real) == before
    assert known(real, domain) == {"first": 1, "second": 1}


@pytest.mark.spec("C3")
def test_a_rename_keeps_id_and_ledger(real: Pipeline, domain: str) -> None:
    change_goals.rename_goal(real.store, "crm", "first", "Another name")
    assert [(one.id, one.name) for one in stored(real).goals] == [("first", "Another name"), ("second", "Second")]
    assert known(real, domain) == {"first": 1, "second": 1}
    with pytest.raises(TerminalError, match="can't be a goal's"):
        change_goals.rename_goal(real.store, "crm", "first", "two\nlines")
    assert [one.what for one in audit.read(real.store)] == ["rename goal"], "what was refused did not happen"


@pytest.mark.spec("C3")
def test_a_copy_starts_with_no_ledger_and_is_not_active(real: Pipeline, domain: str) -> None:
    stray = LedgerEntry("identity", "configuration", 9, "COMPLETE", "2026-01-01T00:00:00Z", 5)
    note(real, domain, "a-copy", stray)  # of an import that ended after its goal was deleted

    _, made = change_goals.copy_goal(real.store, "crm", "first", "A copy")

    assert made == "a-copy"
    assert [(one.id, one.active) for one in stored(real).goals] == [("first", True), ("a-copy", False), ("second", True)]
    assert known(real, domain) == {"first": 1, "a-copy": 0, "second": 1}
    original, copy, _ = stored(real).import_goals
    assert copy.mappings == original.mappings
    with pytest.raises(TerminalError, match="has a goal a-copy already"):
        change_goals.copy_goal(real.store, "crm", "second", "A copy")


@pytest.mark.spec("C3")
def test_a_deleted_goal_takes_its_ledger_along_and_no_other(real: Pipeline, domain: str) -> None:
    change_goals.delete_goal(real.store, "crm", "first")
    assert known(real, domain) == {"second": 1}
    assert ledger.read_ledger(real.store, domain, "crm", "first") == {}
    with pytest.raises(TerminalError, match="has no goal first; its goals: second"):
        change_goals.delete_goal(real.store, "crm", "first")


@pytest.mark.spec("C3")
def test_goals_of_a_file_are_added_and_removed_without_touching_the_others(real: Pipeline, domain: str) -> None:
    real.apply_goals(shop(domain), [goal(domain, "third"), goal(domain, "second", name="Renamed")], schedule=SCHEDULE)
    assert known(real, domain) == {"third": 0, "second": 1}
    assert ledger.read_ledger(real.store, domain, "crm", "first") == {}


@pytest.mark.spec("C1")
def test_favorites_are_listed_first(
    real: Pipeline, domain: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, favorite in (("a", False), ("b", True)):
        real.apply_goals(shop(domain), [], name, favorite=favorite, description=f"what {name} is for", enabled=not favorite)
    monkeypatch.setenv("HEADRACE_REDIS_URL", real.settings.redis.url.get_secret_value())
    list_connections(Terminal.of(Form.JSON))
    found = json.loads(capsys.readouterr().out)["connections"]
    assert [(one["name"], one["enabled"], one["goals"]) for one in found] == [
        ("b", False, []),
        ("a", True, []),
        ("crm", True, ["first", "second"]),
    ]
    list_connections(Terminal.of(Form.PEOPLE))
    said = capsys.readouterr().out
    assert "what b is for" in said
    assert said.index("★") < said.index("what a is for")


@pytest.mark.spec("C4", "B6")
def test_a_connection_is_switched_and_deleted_and_the_audit_trail_says_so(real: Pipeline, domain: str) -> None:
    change_goals.switch_connection(real.store, "crm", enabled=False)
    assert not stored(real).enabled
    change_goals.switch_connection(real.store, "crm", enabled=True)
    assert stored(real).enabled
    change_goals.delete_connection(real.store, "crm")
    assert registry.find_connection(real.store, "crm") is None
    assert ledger.read_ledger(real.store, domain, "crm", "first") == {}
    assert [one.what for one in reversed(audit.read(real.store))] == ["connection off", "connection on", "delete"]


@pytest.mark.spec("C3", "B1")
def test_an_open_import_of_a_deleted_connection_ends_and_blocks_nobody(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may read its file any more: it is closed FAILED by the next run of its domain, and what waits behind it goes on."""
    bucket = f"b{domain_name}"
    real.make_bucket(bucket)
    first = real.apply(shop(domain_name), customers(domain_name, source={"bucket": bucket, "directory": "first/"}), "first")
    second = real.apply(shop(domain_name), customers(domain_name, source={"bucket": bucket, "directory": "second/"}), "second")
    for one in ("first", "second"):
        real.put(bucket, f"{one}/a.csv", as_csv(purchases(20)))
    real.set_environment(monkeypatch.setenv)
    with opened() as context:
        [file] = scan_goal(context, first, first.import_goals[0])
        left_open = register_import(context, first, first.import_goals[0], file.version, "dies")
        assert pinned_version(left_open) is not None
    change_goals.delete_connection(real.store, "first")
    with opened() as context, real.workers(domain_name):
        [result] = real.run(second, context)
        closed = result_of(context, left_open)
    assert (result.state, result.outcomes.rows) == ("COMPLETE", 20)
    assert closed is not None
    assert (closed.state, closed.outcomes.rows) == ("FAILED", 0)
    assert "There is no connection first" in closed.reason


def test_an_edit_of_what_somebody_else_changed_meanwhile_is_made_again(real: Pipeline, domain: str) -> None:
    edits: list[Connection] = []

    def edit(found: Connection) -> Connection:
        if not edits:
            change_goals.set_activity(real.store, "crm", "second", active=False)
        edits.append(found)
        return found.model_copy(update={"description": "edited"})

    registry.change_connection(real.store, "crm", edit)

    assert stored(real).description == "edited"
    assert [one.active for one in stored(real).goals] == [True, False]
