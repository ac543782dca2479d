"""What the contract tests of neighbours share: an import whose rows name several identifiers of the same people, and contend for some."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from headrace.connections import Connection
from headrace.merge import Addresses, Profile, import_rows
from profile_store import counts, keys
from streaming.envelope import Header, encode
from streaming.importing.await_turn import finish
from streaming.importing.close import ImportResult
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from streaming.publisher import Publisher
from streaming.split.batches import RowBatch
from streaming.split.splitter import Splitter
from streaming.topics import make_topics
from tests.files import csv_bytes
from tests.pipeline import Pipeline
from tests.polling import eventually

COLUMNS = ("id", "mail", "amount")
PARTITIONS = 4


class Crowd:
    """A domain of people with a customer id and an e-mail address; `connection` has one goal, linked by either."""

    def __init__(self, real: Pipeline, domain: str) -> None:
        self.real, self.domain = real, domain
        self.connection: Connection = real.apply_goals(_domain(domain), [_goal(domain)])

    def table(self, rows: int) -> list[dict[str, str]]:
        """Every fifth row finds its profile by its e-mail address alone; some people claim one that is another's.

        Sums that are never zero, so that the order of rows that come to a profile by different ways does not matter.
        """
        people = rows // 4
        table = [{"id": f"C{n % people}", "mail": f"u{n % (people - 7)}@example.com", "amount": f"{n % 7 + 1}.5"} for n in range(rows)]
        for n in range(0, rows, 5):
            table[n]["id"] = ""
        return table

    def register(self, rows: int) -> None:
        """An import of a file of so many rows, whose batches a test publishes itself."""
        self.rows = self.table(rows)
        data = csv_bytes(self.rows, COLUMNS)
        self.real.put("crm", f"{self.domain}/a.csv", data)
        goal, context = self.connection.import_goals[0], self.real.context
        [scanned] = scan_goal(context, self.connection, goal)
        self.registration = register_import(context, self.connection, goal, scanned.version, "run-1")
        self.batches = list(Splitter(io.BytesIO(data).read, self.registration.needed_plan, "a.csv").batches())
        make_topics(self.real.settings.kafka, self.domain, PARTITIONS)

    def publish(self, batches: Iterable[RowBatch]) -> None:
        publisher = Publisher(self.real.settings.kafka, self.domain)
        for batch in batches:
            header = Header(self.domain, self.registration.import_seq, batch.partition, batch.batch_no, self.registration.token)
            publisher.publish(batch.partition, encode(header, batch.rows))
        publisher.flush()
        publisher.close()

    @property
    def progress(self) -> counts.Progress:
        return counts.progress(self.real.store, self.domain, PARTITIONS, self.registration.import_seq)

    def finish(self, then: Callable[[], None] = lambda: None) -> None:
        """What the flow does, from the registration on; `then`, before everything is as the oracle says, with nothing left in an outbox."""
        result = finish(self.real.context, self.registration, "run-1")
        then()
        self.check(result)

        def nothing_waits() -> bool:
            return self.outbox() == 0

        eventually(nothing_waits, within=30, what="every message to a neighbour is heard, and gone")

    def check(self, result: ImportResult) -> None:
        profiles, addresses = dict[bytes, Profile](), Addresses()
        holders = self.real.holders(self.domain)
        expected = import_rows(profiles, self.rows, self.registration.needed_plan, addresses, holders)
        assert (result.state, result.outcomes) == ("COMPLETE", expected.outcomes)
        assert self.real.profiles(self.domain) == profiles
        assert holders == {**dict(zip(profiles, profiles, strict=True)), **addresses.pointers}
        assert expected.outcomes.cells > 0, "nobody contended"

    def outbox(self) -> int:
        """Messages in Redis that their receivers are not known to have on disk."""
        return sum(
            int(self.real.store.node_of(keys.meta(self.domain, number)).hlen(keys.outbox(self.domain, number)))
            for number in range(PARTITIONS)
        )


def _domain(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": PARTITIONS,
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "email", "type": "email", "identifier": True},
            {"name": "total", "type": "number"},
        ],
    }


def _goal(domain: str) -> dict[str, Any]:
    return {
        "kind": "import_profiles",
        "name": "Crowd",
        "domain": domain,
        "source": {"bucket": "crm", "directory": f"{domain}/", "files": "*.csv"},
        "link": [{"column": "id", "property": "customer_id"}, {"column": "mail", "property": "email"}],
        "allow_creation": True,
        "mappings": [
            {"column": "mail", "property": "email", "rule": "set_if_empty"},
            {"column": "amount", "property": "total", "rule": "sum"},
        ],
    }
