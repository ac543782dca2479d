"""Run history (SPEC R1): what each run did, kept after Prefect's own history is gone. No personal data in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

from headrace.outcomes import Outcomes
from profile_store import keys
from profile_store.store import Store, text, translated

RUN_FORMAT = 1
RunState = Literal["WAITING", "RUNNING", "COMPLETE", "FAILED", "NOTHING_TO_DO"]
IMPORT, EXPORT = "import", "export"
"""What was done with a file."""
GOING_ON: tuple[RunState, ...] = ("WAITING", "RUNNING")


@dataclass(slots=True)
class RunFile:
    """One file of a run. `domain`: that its goal imports into, or exports from. `rejects_key`: the object that holds its rejected rows; `reason`: why
    it failed. Of an exported one: `available`, how many profiles there were for it, `exported`, how many are in it, `left_out`, column → values
    that no cell can say; the counts of rows are 0.
    """

    bucket: str
    key: str
    import_seq: int
    state: str
    rows: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    rejects_key: str | None = None
    reason: str = ""
    goal: str = ""
    domain: str = ""
    kind: str = IMPORT
    available: int = 0
    exported: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> Outcomes:
        return Outcomes(**self.outcomes)


@dataclass(slots=True)
class RunRecord:
    """`started`, `ended`: ISO 8601, UTC; `ended` empty while it goes on. `skipped`: files left alone, and why."""

    run_id: str
    connection: str
    goal: str
    state: RunState = "RUNNING"
    started: str = ""
    ended: str = ""
    reason: str = ""
    files: list[RunFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_run(store: Store, run: RunRecord) -> None:
    """Store a run as it stands; again whenever it has moved on."""
    score = datetime.fromisoformat(run.started).timestamp()
    with translated("writing run history"):
        store.client.set(keys.run(run.run_id), json.dumps({"format": RUN_FORMAT, **asdict(run)}, sort_keys=True))
        store.client.zadd(keys.every_run(), {run.run_id: score})
        # A run may have been started with any text for a connection: that is no key.
        if keys.lifetime_of(keys.runs(run.connection).encode()):
            store.client.zadd(keys.runs(run.connection), {run.run_id: score})


def read_run(store: Store, run_id: str) -> RunRecord | None:
    with translated("reading run history"):
        document = store.client.get(keys.run(run_id))
    if document is None:
        return None
    data = json.loads(text(document))
    data.pop("format")
    files = [RunFile(**one) for one in data.pop("files")]
    skipped = [(one[0], one[1]) for one in data.pop("skipped")]
    return RunRecord(files=files, skipped=skipped, **data)


def list_runs(store: Store, connection: str, most: int = 50) -> list[RunRecord]:
    """The latest runs of a connection, newest first."""
    return _latest(store, keys.runs(connection), most)


def list_every_run(store: Store, most: int = 50) -> list[RunRecord]:
    """The latest of all, newest first: those of connections that are gone, or never were, too."""
    return _latest(store, keys.every_run(), most)


def _latest(store: Store, key: str, most: int) -> list[RunRecord]:
    with translated("reading run history"):
        found = store.client.zrevrange(key, 0, most - 1)
    return [run for run_id in found if (run := read_run(store, text(run_id))) is not None]
