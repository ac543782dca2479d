"""Imports of a domain, round after round, each with one kill at a failpoint: what the files are, who runs, and what must come of it.

A round imports a file linked by customer, whose e-mails are new, so that each is claimed; then one linked by those e-mails, so that each row is
forwarded. A lane is a domain of its own with its own worker; lanes run side by side.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.connections import Connection
from headrace.failpoints import FAILPOINTS
from headrace.merge import Addresses, Profile, import_rows
from headrace.outcomes import Outcomes
from object_store.access import connect
from profile_store import keys, registry, sequence
from profile_store.reject_history import rejects_of_connection
from streaming.importing.plan import plan_of
from streaming.importing.scan import scan_goal
from tests.faults.flow import AGAIN, LEFT_WRONG, REPLAY, RIGHT, WRONG, FlowOptions
from tests.faults.killed import Doomed
from tests.faults.nursery import Nursery, Process
from tests.faults.shop_files import shop_domain
from tests.files import csv_bytes
from tests.pipeline import Pipeline
from tests.polling import eventually

BUCKET = "rounds"
PARTITIONS, CUSTOMERS, BATCH_ROWS = 3, 60, 15
COLUMNS = ("id", "mail", "amount")
BUGGY_LINE = 30
KILLED = -9
SECONDS = 90
WORKERS, FLOWS = "streaming.worker.__main__", "tests.faults.flow"

OF_WORKERS = (
    "takeover",
    "takeover_durable",
    "read_profiles",
    "commit",
    "confirm",
    "outbox_publish",
    "outbox_delete",
    "offset_commit",
    "dead_letter",
)
OF_EXPORTS = tuple(name for name in FAILPOINTS if name.endswith("_export") or name.endswith("_exported"))
"""No import meets them: tests/integration/test_killed_exports.py kills there."""
OF_SEGMENTS = (
    "register_segments",
    "begin_generations",
    "end_segments",
    "complete_generations",
    "switch_live",
    "drop_generations",
)
"""Nor these: tests/faults/test_killed_segments.py does."""
OF_DOMAINS = ("retire_domain", "drop_domain")
"""Nor these: tests/integration/test_api_killed.py does."""
OF_THE_API = ("create_upload_job", "expect_upload", "note_upload", "start_upload_job", "ask_stop")
OF_JOBS = (
    "define_properties",
    "register_schema",
    "end_schema",
    "register_upload",
    "end_upload_job",
    "remove_upload",
    "settle_upload_job",
)
OF_EXPIRIES = ("register_expiry", "note_expired")
"""Nor these: tests/faults/test_killed_jobs.py does."""
OF_OTHERS = (*OF_EXPORTS, *OF_SEGMENTS, *OF_THE_API, *OF_JOBS, *OF_EXPIRIES, *OF_DOMAINS)
OF_FLOWS = tuple(name for name in FAILPOINTS if name not in (*OF_WORKERS, *OF_OTHERS))
WITH_A_BUG = ("dead_letter",)
WITH_A_CUT_FILE = ("close_rows",)
WITH_A_REPLAY = ("replay_source", "register_replay", "take_rejects", "give_back_rejects")
TIMES: dict[str, tuple[int, ...]] = {
    "takeover": (2,),
    "read_profiles": (4,),
    "commit": (2, 5, 9, 14),
    "confirm": (2,),
    "outbox_publish": (5,),
    "publish": (1, 9),
    "close_rows": (2,),
    "raise_floor": (1, 2),
    "drop_import": (2,),
    "begin_generations": (1, 2),
    "complete_generations": (1, 2),
    "switch_live": (1, 2),
    "drop_generations": (2,),
}
"""At which time a step is met; others at the first."""


def points(steps: Iterable[str]) -> list[str]:
    """The failpoints of these steps, before and after."""
    return [f"{name}:{side}:{number}" for name in steps for side in ("before", "after") for number in TIMES.get(name, (1,))]


@dataclass
class Lane:
    """`profiles`, `addresses`: what the oracle has after the rounds so far; `rounds`: how many there were. `worker`: the one that
    works for whatever runs of flows are killed."""

    real: Pipeline
    nursery: Nursery
    directory: Path
    domain: str
    profiles: dict[bytes, Profile] = field(default_factory=dict)
    addresses: Addresses = field(default_factory=Addresses)
    rounds: int = 0
    worker: Process | None = None

    def play(self, failpoint: str) -> None:
        """One round, killed at `failpoint`. Raises AssertionError."""
        step = failpoint.partition(":")[0]
        self.rounds += 1
        name = f"{self.domain}-{self.rounds}"
        bug = BUGGY_LINE if step in WITH_A_BUG else 0
        first = sequence.last_number(self.real.store, self.domain) + 1
        tables = self._tables()
        connection = self._connect(name, tables, cut=step in WITH_A_CUT_FILE)
        task = f"{REPLAY}{name}" if step in WITH_A_REPLAY else name
        if step in OF_WORKERS:
            doomed, flow = self._start(WORKERS, [self.domain], failpoint, bug), self._flow(task)
            assert _ended(doomed, f"the worker reaches {failpoint}") == KILLED, _tail(doomed)
        else:
            flow = self._flow(task, failpoint)
        self.worker = self.worker or self._start(WORKERS, [self.domain], "", bug)
        if step not in OF_WORKERS:
            assert _ended(flow, f"the flow reaches {failpoint}") == KILLED, _tail(flow)
            flow = self._flow(task)
        while (code := _ended(flow, "the flow ends")) == AGAIN:
            flow = self._flow(task)
        assert code == 0, _tail(flow)
        self._check(connection, tables, first, step)
        if step in OF_WORKERS:
            self.worker.signal(signal.SIGTERM)
            assert _ended(self.worker, "the worker gives its partitions back") == 0, _tail(self.worker)
            self.worker = None

    def _start(self, module: str, arguments: list[str], failpoint: str, buggy_line: int = 0) -> Process:
        doomed = Doomed(module, tuple(arguments), failpoint, buggy_line)
        log = self.directory / f"{self.domain}-{self.rounds}-{module}.log"
        return self.nursery.start("tests.faults.killed", [json.dumps(asdict(doomed))], self.real.environment(), log)

    def _flow(self, name: str, failpoint: str = "") -> Process:
        """It publishes an import again only if it was killed before all of it was published: nothing may need more."""
        options = FlowOptions(str(self.directory), BATCH_ROWS, lease_seconds=1, stalled=None, publish_twice=False)
        return self._start(FLOWS, [name, json.dumps(asdict(options))], failpoint)

    # the files

    def _tables(self) -> list[list[dict[str, str]]]:
        mails = [f"r{self.rounds}u{number}@example.com" for number in range(CUSTOMERS)]
        first = [
            {"id": f"C{number % CUSTOMERS}", "mail": mails[number % CUSTOMERS], "amount": "n/a" if number % 25 == 24 else f"{number}.5"}
            for number in range(2 * CUSTOMERS)
        ]
        second = [{"id": "", "mail": mails[number * 7 % CUSTOMERS], "amount": f"{number % 9}.25"} for number in range(2 * CUSTOMERS)]
        return [first, second]

    def _connect(self, name: str, tables: list[list[dict[str, str]]], *, cut: bool) -> Connection:
        mail = {"column": "mail", "property": "email", "rule": "set"}
        amount = {"column": "amount", "property": "total", "rule": "sum"}
        goals = [self._goal(name, "first", "id", "customer_id", [mail, amount]), self._goal(name, "second", "mail", "email", [amount])]
        for goal, table in zip(goals, tables, strict=True):
            self.real.put(BUCKET, f"{goal['source']['directory']}a.csv", csv_bytes(table, COLUMNS))
        if cut:
            goals.append(self._goal(name, "cut", "id", "customer_id", []))
            data = gzip.compress(
                csv_bytes([{"id": f"C{number % CUSTOMERS}", "mail": "", "amount": ""} for number in range(9_000)], COLUMNS)
            )
            self.real.put(BUCKET, f"{goals[-1]['source']['directory']}a.csv.gz", data[: len(data) // 2])
        return self.real.apply_goals(shop_domain(self.domain, PARTITIONS), goals, name)

    def _goal(self, name: str, kind: str, column: str, of: str, mappings: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "kind": "import_profiles",
            "name": kind,
            "domain": self.domain,
            "source": {"bucket": BUCKET, "directory": f"{name}/{kind}/", "files": "*"},
            "link": [{"column": column, "property": of}],
            "allow_creation": True,
            "mappings": mappings,
        }

    # what must come of them

    def _check(self, connection: Connection, tables: list[list[dict[str, str]]], first: int, step: str) -> None:
        store, last = self.real.store, sequence.last_number(self.real.store, self.domain)
        assert sequence.domain_floor(store, self.domain) == last, "an import is open"
        found = [sequence.read_result(store, self.domain, number) or {} for number in range(first, last + 1)]
        states = [one["state"] for one in found]
        assert states[:2] == ["COMPLETE"] * 2
        assert set(states[2:]) == ({"FAILED"} if step in WITH_A_CUT_FILE else {"COMPLETE"} if step in WITH_A_REPLAY else set())
        holders = self.real.holders(self.domain)
        for goal, table, result in zip(connection.import_goals, tables, found, strict=False):
            poisoned = self._poisoned(result["rejects_key"])
            kept = [row for line, row in enumerate(table, 2) if line not in poisoned]
            plan = plan_of(goal, registry.get_domain(store, self.domain), connection.objectives)
            expected = import_rows(self.profiles, kept, plan, self.addresses, holders).outcomes + Outcomes(rejected=len(poisoned))
            assert {name: result[name] for name in expected.as_dict()} == expected.as_dict()
        if step in WITH_A_REPLAY:
            self._check_replay(connection, tables[0], found[2:])
        assert self.real.profiles(self.domain) == self.profiles
        assert holders == {**{profile: profile for profile in self.profiles}, **self.addresses.pointers}
        self._check_ledger(connection)
        self._check_leftovers(first, last)

    def _check_replay(self, connection: Connection, table: list[dict[str, str]], results: list[dict[str, Any]]) -> None:
        """What was corrected took effect once, whichever of the replays did it; what was not is left."""
        wrong = [row for row in table if row["amount"] == WRONG]
        right = [{**row, "mail": "", "amount": RIGHT} for row in wrong if row["id"] != LEFT_WRONG]
        domain = registry.get_domain(self.real.store, self.domain)
        import_rows(self.profiles, right, plan_of(connection.import_goals[0], domain, connection.objectives), self.addresses)
        assert sum(result["updated"] for result in results) == len(right)
        [rejects] = rejects_of_connection(self.real.store, connection.name)
        assert (rejects.counts.replayed, rejects.left) == (len(right), len(wrong) - len(right))

    def _poisoned(self, key: str | None) -> set[int]:
        """The lines that the file of rejects gives as POISON."""
        if key is None:
            return set()
        text = connect(self.real.access, 1).get_object(Bucket=BUCKET, Key=key)["Body"].read().decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return {int(row["_headrace_line"]) for row in rows if row["_headrace_code"] == "POISON"}

    def _check_ledger(self, connection: Connection) -> None:
        for goal in connection.import_goals[:2]:
            assert [one.status for one in scan_goal(self.real.context, connection, goal)] == ["imported"]

    def _check_leftovers(self, first: int, last: int) -> None:
        """Nothing of an import that is over is left: no counts, no fences, no message for a neighbour, no copy of its file."""
        store = self.real.store
        name = f"{self.domain}-{self.rounds}/"
        copies = [
            one["Key"]
            for one in connect(self.real.access, 1).list_objects_v2(Bucket=BUCKET, Prefix=name).get("Contents", [])
            if "/pinned/" in one["Key"]
        ]
        assert not copies, copies
        for partition in range(PARTITIONS):
            fence = store.client.hkeys(keys.fence(self.domain, partition))
            assert not [one for one in fence if one.startswith(b"import:")]
            for number in range(first, last + 1):
                assert not store.client.exists(keys.tally(self.domain, partition, number), keys.rejects(self.domain, partition, number))
        outboxes = [keys.outbox(self.domain, partition) for partition in range(PARTITIONS)]
        eventually(lambda: not store.client.exists(*outboxes), within=30, what="every outbox is empty")


def _ended(process: Process, what: str) -> int | None:
    """Its code, when it has ended."""
    eventually(lambda: not process.running, within=SECONDS, what=f"{what}; {process.log}")
    return process.poll()


def _tail(process: Process) -> str:
    return process.log.read_text(errors="replace")[-2_000:] if process.log.exists() else "no log"
