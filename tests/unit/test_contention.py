"""Where rows of different link values may come in any order, the oracle needs to be told who got what, and nothing else."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.import_plan import ImportPlan
from headrace.merge import Addresses, OracleResult, Profile, import_rows
from headrace.outcomes import Reason
from tests import contention
from tests.contention import Row
from tests.examples import examples


def in_another_order(rows: list[Row], plan: ImportPlan, rnd: random.Random) -> list[int]:
    """The places of the rows in an order that keeps that of each link value, as partitions and forwards do."""
    queues: dict[bytes | Reason, list[int]] = {}
    for place, row in enumerate(rows):
        queues.setdefault(plan.address_of_row(row), []).append(place)
    order = []
    waiting = [queue for queue in queues.values() for _ in queue]
    rnd.shuffle(waiting)
    for queue in waiting:
        order.append(queue.pop(0))
    return order


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.randoms(use_true_random=False))
@pytest.mark.spec("M1", "M2", "M10", "M12", "R4")
def test_whatever_the_order_the_owners_determine_the_rest(data: st.DataObject, rnd: random.Random) -> None:
    drawn = data.draw(contention.contentions())
    profiles: dict[bytes, Profile] = {}
    addresses = Addresses()
    for _ in range(2):
        plan = data.draw(contention.plans(drawn))
        rows = data.draw(contention.tables(drawn, plan, profiles, addresses))
        theirs, their_addresses = copy.deepcopy((profiles, addresses))
        order = in_another_order(rows, plan, rnd)
        there = import_rows(theirs, [rows[place] for place in order], plan, their_addresses)
        here = import_rows(profiles, rows, plan, addresses, contention.owners_among(theirs, their_addresses))
        assert profiles == theirs
        assert addresses == their_addresses
        assert here.outcomes == there.outcomes
        assert here.rejects == in_file_order(there, order)


def in_file_order(result: OracleResult, order: list[int]) -> list[tuple[int, str | None, Reason]]:
    return sorted(((order[place], column, reason) for place, column, reason in result.rejects), key=lambda one: one[0])
