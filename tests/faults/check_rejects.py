"""After a schedule: each import's file of rejects has the lines that the oracle rejects, each once and with its reason, but those of whom an erasure took."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.import_plan import ImportPlan
from headrace.merge import OracleResult
from headrace.outcomes import Reason
from object_store.access import connect
from profile_store.registration import Registration
from tests.faults.shop_files import Row
from tests.faults.world import Stage

TOGETHER = "; "


@dataclass(frozen=True)
class _Line:
    """Of a file of rejects: `line` of the import's file (its header is line 1), columns and codes, in any order. `named`: the addresses in its row."""

    line: int
    columns: frozenset[str]
    codes: frozenset[str]
    named: frozenset[bytes] = frozenset()

    def __str__(self) -> str:
        return f"line {self.line}, {sorted(self.columns)}: {sorted(self.codes)}"


@dataclass(frozen=True)
class Rejected:
    """Of one import: `key` of its file of rejects, and its lines."""

    import_seq: int
    key: str | None
    lines: tuple[_Line, ...]

    def without(self, gone: set[bytes]) -> Rejected:
        """An erasure takes the person's lines along."""
        return replace(self, lines=tuple(line for line in self.lines if not line.named & gone))


def rejected_of(
    rows: Sequence[tuple[int, Row]], broken: Sequence[int], registration: Registration, told: OracleResult, key: str | None
) -> Rejected:
    """A line for a row that is rejected, whatever is wrong with it, one for each cell of others, and one for each line that is no row, which names nobody.

    `rows`: with their lines; `broken`: the lines that are none.
    """
    plan = registration.needed_plan
    whole = plan.on_bad_cell == "reject_row"
    lines = [_Line(line, frozenset(), frozenset({Reason.WRONG_COLUMN_COUNT.value})) for line in broken]
    of_rows: dict[int, list[tuple[str | None, Reason]]] = {}
    for row, column, reason in told.rejects:
        if column is None or (whole and reason is not Reason.IDENTIFIER_CONFLICT):
            of_rows.setdefault(row, []).append((column, reason))
        else:
            number, cells = rows[row]
            lines.append(_Line(number, frozenset({column}), frozenset({reason.value}), _named_in(cells, plan)))
    for row, found in of_rows.items():
        number, cells = rows[row]
        columns = frozenset(column for column, _ in found if column is not None)
        lines.append(_Line(number, columns, frozenset(reason.value for _, reason in found), _named_in(cells, plan)))
    return Rejected(registration.import_seq, key, tuple(lines))


def check_rejects(stage: Stage, rejected: Rejected) -> None:
    """Raises AssertionError, which says what is missing and what is nobody's."""
    found = Counter(_lines(stage, rejected.key))
    meant = Counter(replace(line, named=frozenset()) for line in rejected.lines)
    missing, strange = list((meant - found).elements()), list((found - meant).elements())
    assert found == meant, (
        f"import {rejected.import_seq}, whose rejects are in {rejected.key}: {len(missing)} of {meant.total()} are missing, {len(strange)} are nobody's:"
        f" {', '.join(map(str, missing[:3]))} / {', '.join(map(str, strange[:3]))}"
    )


def _lines(stage: Stage, key: str | None) -> list[_Line]:
    if key is None:
        return []
    text = connect(stage.real.access, 1).get_object(Bucket=stage.domain, Key=key)["Body"].read().decode("utf-8-sig")
    return [
        _Line(
            int(row["_headrace_line"]),
            frozenset(filter(None, row["_headrace_column"].split(TOGETHER))),
            frozenset(row["_headrace_code"].split(TOGETHER)),
        )
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]


def _named_in(row: Row, plan: ImportPlan) -> frozenset[bytes]:
    """The addresses of every identifier in the row."""
    identifiers = [(one.column, one.property, one.type) for one in plan.links]
    identifiers += [(each.column, each.property, each.type) for each in plan.mappings if each.identifier]
    found = (plan.address_of_cell(name, kind, row[column]) for column, name, kind in identifiers)
    return frozenset(one for one in found if isinstance(one, bytes))
