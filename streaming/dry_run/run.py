"""A dry run: the full import of a real file by the real rules over the real store, which changes nothing at all (SPEC B3).

Nothing is registered, pinned, published or written: profiles are read, what would be written lies in a temporary file. The result is as of now: what
other imports do meanwhile, or before the real one has its turn, is not foreseen. Where rows of different link values reach one profile, or contend for
one identifier, their order is open in an import too: either may come first.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa

from headrace.connections import Connection
from headrace.errors import HeadraceError, TerminalError
from headrace.import_plan import ImportPlan
from headrace.outcomes import Outcome, Outcomes, Reason
from object_store.versions import ObjectVersion
from profile_store import registry, sequence
from profile_store.partitions import read_profiles
from streaming.dry_run.partitions import DryPartitions
from streaming.dry_run.rejects import RejectTally, SampledReject
from streaming.dry_run.sample import ProfileChange, sample_changes
from streaming.importing.context import ImportContext, Progress
from streaming.importing.plan import AnyImportGoal, domain_of, plan_of
from streaming.importing.scan import scan_goal
from streaming.look.chosen import selection_of
from streaming.merge.changes import decode_rejects
from streaming.split.splitter import Splitter, SplitTotals

WAITING_BYTES = 32 << 20
"""Of messages among partitions. When more wait, all of them are dealt with before the next rows are read."""


@dataclass(slots=True)
class DryRun:
    """What the import of `file` would give. `rejects`: by column (None: the row) and reason; `sample`: the first of them.

    `new_profiles`, `changed_profiles`: how many there would be, and a sample in `profiles`. `files`: status → how many files of the goal a run would
    find so; `warnings`: why a run may give something else.
    """

    file: ObjectVersion
    plan: ImportPlan
    outcomes: Outcomes
    rejects: Counter[tuple[str | None, Reason]]
    sample: list[SampledReject]
    new_profiles: int
    changed_profiles: int
    profiles: list[ProfileChange]
    seconds: float
    files: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)

    @property
    def wanted_files(self) -> int:
        """How many files of the goal a run would import, or import again."""
        return sum(self.files[status] for status in ("new", "changed", "failed"))


def dry_run(context: ImportContext, connection: Connection, goal: AnyImportGoal, version: ObjectVersion) -> DryRun:
    """Raises what would make the import fail (HeaderError, TRUNCATED, SourceChangedError…), NO_SUCH_PROPERTY where `apply` was not run, TransientError."""
    began = time.monotonic()
    domain = registry.get_domain(context.store, domain_of(goal))
    plan = plan_of(goal, domain, connection.objectives)
    import_seq = sequence.last_number(context.store, domain.name) + 1
    warnings = _warnings(context, connection, goal, version, import_seq)

    def below(partition: int, addresses: list[bytes]) -> list[bytes | None]:
        return read_profiles(context.store, domain.name, partition, addresses)

    partitions = DryPartitions(domain.name, domain.partitions, below)
    try:
        played = _Played(context, partitions, plan, import_seq)
        totals = played.play(connection, version)
        outcomes = played.outcomes(totals)
        sample = played.sample_rejects(connection, version, totals) if outcomes.rejected or outcomes.cells else []
        new, changed = partitions.overlay.count()
        profiles = sample_changes(partitions.overlay, domain, below)
    finally:
        partitions.close()
    made = DryRun(
        version, plan, outcomes, played.rejects.counts, sample, new, changed, profiles, time.monotonic() - began, warnings=warnings
    )
    _count_files(context, connection, goal, made)
    return made


class _Played:
    """An import while it is played. `counts`: as workers tally them."""

    def __init__(self, context: ImportContext, partitions: DryPartitions, plan: ImportPlan, import_seq: int) -> None:
        self._context = context
        self._partitions = partitions
        self._plan = plan
        self._import_seq = import_seq
        self._counts = Counter[str]()
        self.rejects = RejectTally()

    def play(self, connection: Connection, version: ObjectVersion) -> SplitTotals:
        partitions = self._partitions
        with self._context.objects_of(connection.name).open_text_bytes(version) as stream:
            read = 0

            def counted(size: int) -> bytes:
                nonlocal read
                data = stream.read(size) or b""
                read += len(data)
                return data

            splitter = Splitter(counted, self._plan, version.key)
            for batch in splitter.batches():
                self._apply(batch.partition, batch.rows)
                if partitions.waiting_bytes > WAITING_BYTES:
                    self._settle()
                self._context.report(Progress("publishing", read, 0, f"{splitter.totals.rows:,} rows read"))
        self._settle()
        return splitter.totals

    def _settle(self) -> None:
        """Until no partition has anything to tell another."""
        while waiting := self._partitions.have_news():
            for partition in waiting:
                self._apply(partition, None)

    def _apply(self, partition: int, rows: pa.RecordBatch | None) -> None:
        change = self._partitions.apply(self._plan, self._import_seq, partition, rows, self._partitions.take_all(partition))
        self._counts.update(change.counts)
        if change.rejects:
            self.rejects.add(decode_rejects(change.rejects))

    def sample_rejects(self, connection: Connection, version: ObjectVersion, totals: SplitTotals) -> list[SampledReject]:
        with self._context.objects_of(connection.name).open_text_bytes(version) as stream:
            again = Splitter(lambda size: stream.read(size) or b"", self._plan, version.key)
            return self.rejects.sample(again, self._plan.file_format.separator, totals.rejected)

    def outcomes(self, totals: SplitTotals) -> Outcomes:
        """Those of the splitter included. Raises TerminalError NOT_CONSERVED where they do not add up (SPEC R4)."""
        counts = self._counts
        merged = Outcomes(**{one.value: counts[one.value] for one in Outcome}, cells=counts["cells"])
        outcomes = merged + Outcomes(rejected=totals.rejected)
        settled = counts["claimed"] == counts["settled"] and counts["forwarded"] == counts["arrived"]
        if outcomes.rows != totals.rows or not settled:
            raise TerminalError(
                f"The dry run counted {outcomes.rows} rows of {totals.rows}.",
                code="NOT_CONSERVED",
                hint="This is a bug of Headrace; please report it.",
            )
        return outcomes


def _warnings(context: ImportContext, connection: Connection, goal: AnyImportGoal, version: ObjectVersion, import_seq: int) -> list[str]:
    domain = domain_of(goal)
    said = []
    open_imports = import_seq - 1 - sequence.domain_floor(context.store, domain)
    if open_imports > 0:
        which = "an import of the domain is" if open_imports == 1 else f"{open_imports} imports of the domain are"
        said.append(f"{which} not over yet: this is how things stand now, not how they will stand after that")
    if not connection.enabled:
        said.append("the connection is off: a run would do nothing")
    if not goal.active:
        said.append("the goal is not active: a run would leave it out")
    if not selection_of(goal).matches(version.key):
        said.append("the goal's file pattern does not match this file: a run would not import it")
    return said


def _count_files(context: ImportContext, connection: Connection, goal: AnyImportGoal, made: DryRun) -> None:
    """A key that may not list the bucket can read a file all the same."""
    try:
        files = scan_goal(context, connection, goal)
    except HeadraceError as error:
        made.warnings.append(f"the goal's files can't be listed: {error}")
        return
    made.files.update(one.status for one in files)
    this = next((one for one in files if one.version.key == made.file.key), None)
    if this is not None and not this.wanted:
        made.warnings.append(f"a run would leave this file alone: {this.reason}")
