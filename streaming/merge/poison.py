"""Rows that can't be merged, five times over: all of them are rejected `POISON`, and counted (DESIGN §2, Poison)."""

from __future__ import annotations

from dataclasses import replace

from headrace.import_plan import ImportPlan
from headrace.outcomes import Reason, Reject
from streaming.merge.group import Group, MergedGroup, Read, merge_group


def reject_group(group: Group, plan: ImportPlan, read: Read) -> MergedGroup:
    """As `merge_group`, with every row of the group rejected, forwarded ones too. Claims and answers to claims are dealt with as ever."""
    forwarded = [one.rows for one in group.tellings if one.rows is not None]
    batches = forwarded if group.batch is None else [*forwarded, group.batch]
    merged = merge_group(Group(group.import_seq, None, [replace(one, rows=None) for one in group.tellings]), plan, read)
    places = [place for rows in batches for place in zip(rows.column("line").to_pylist(), rows.column("offset").to_pylist(), strict=True)]
    rejects = [Reject(line, offset, None, Reason.POISON) for line, offset in places]
    merged.rejects = sorted((*merged.rejects, *rejects), key=lambda one: one.offset)
    merged.counts["rejected"] = merged.counts.get("rejected", 0) + len(rejects)
    merged.counts["arrived"] = merged.counts.get("arrived", 0) + sum(rows.num_rows for rows in forwarded)
    return merged
