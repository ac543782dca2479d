"""Consent of the profiles of a round, in columns (SPEC P1, docs/adr/0015): whose rows go on, and what is taken in of the others.

Of who has not consented only the row's consents are taken in, and only where the profile is there: a withdrawal must not leave the old consent standing.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from headrace.consent import has_consented
from profile_store.records import ITEM
from streaming.merge.rules import merged_values
from streaming.merge.step import SKIPPED, UNDECIDED, UPDATED, Step
from streaming.merge.vectors import Mask, Places, differs, put, take


def consented(consents: pa.StringArray, objectives: Collection[str]) -> Mask:
    """Where a list of consents, in stored form, names one of the objectives. Profiles have few different lists, so each is read once."""
    encoded = consents.dictionary_encode()
    good = np.array([*(has_consented(one.split(ITEM), objectives) for one in encoded.dictionary.to_pylist()), False], bool)
    found: Mask = good[encoded.indices.fill_null(len(good) - 1).to_numpy()]
    return found


def judge_consent(step: Step, rows: Places) -> Places:
    """Those of `rows` that go on. Each is of another profile, or of one that is not there and may not be created."""
    profiles, plan = step.profiles, step.plan
    rows = rows[np.argsort(step.codes[rows], kind="stable")]
    codes = step.codes[rows]
    name, place = str(plan.consents_id), plan.consent_mapping
    before = pa.nulls(len(rows), pa.string()) if plan.consents_id is None else take(profiles.columns[name], codes)
    after = before if place is None else merged_values(plan.mappings[place], before, step.casts[place], rows)[0]
    going = consented(after, plan.objectives)
    step.outcome[rows[~going]] = SKIPPED
    withdrawn = ~going & profiles.exists[codes] & differs(before, after)
    if withdrawn.any():
        step.outcome[rows[withdrawn]] = UPDATED
        profiles.columns[name] = put(profiles.columns[name], codes, after, withdrawn)
        profiles.changed[codes[withdrawn]] = True
    step.forget_cells(rows[~going].tolist())
    left: Places = rows[going & (step.outcome[rows] == UNDECIDED)]
    return left
