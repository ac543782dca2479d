"""Profiles that contend for identifiers, rows that find a profile by any of them: partitions in memory, in random order, give what the oracle gives.

Groups, claims, answers and forwards go through the code that workers run (`streaming.merge.group`); which partition is next, and how much of what
waits for it it takes, is drawn. So decisions arrive at every moment: between the rows that claimed and those that follow, or long after the last.
"""

from __future__ import annotations

import random
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.address import PROFILE_IDENTIFIER
from headrace.import_plan import ImportPlan
from headrace.merge import Addresses, Profile, import_rows
from streaming.merge import columns as columns_module
from streaming.split import batches as batches_module
from tests import contention
from tests.contention import COLUMNS
from tests.examples import examples
from tests.files import csv_bytes, line_numbers
from tests.memory_domain import MemoryDomain
from tests.unit.test_merge_columns import key


@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.randoms(use_true_random=False), st.sampled_from([1, 3, 17, 5000]), st.sampled_from([1, 3, 24]))
@pytest.mark.spec("M1", "M2", "M4", "M5", "M10", "M11", "M12", "P1", "R4")
def test_neighbours_give_what_the_oracle_gives(data: st.DataObject, rnd: random.Random, batch_rows: int, small_round: int) -> None:
    drawn = data.draw(contention.contentions())
    memory, profiles, addresses = MemoryDomain(4, rnd), dict[bytes, Profile](), Addresses()
    with mock.patch.object(batches_module, "BATCH_ROWS", batch_rows), mock.patch.object(columns_module, "SMALL_ROUND", small_round):
        for number in range(data.draw(st.integers(1, 3))):
            plan = data.draw(contention.plans(drawn))
            rows = data.draw(contention.tables(drawn, plan, profiles, addresses))
            if number == 0 and rows:
                erase(memory, addresses, data.draw(st.lists(st.sampled_from(sorted(contention.addresses_in(rows, plan))), max_size=2)))
            outcomes, rejects = memory.import_file(csv_bytes(rows, COLUMNS), plan)
            owners = contention.owners_among(memory.profiles(), Addresses(memory.pointers()))
            expected = import_rows(profiles, rows, plan, addresses, owners)
            lines = line_numbers(rows)
            assert sorted(map(key, rejects)) == sorted((lines[row], column or "", reason.value) for row, column, reason in expected.rejects)
            assert memory.profiles() == profiles
            assert memory.pointers() == addresses.pointers
            assert outcomes == expected.outcomes
            assert_records_say_what_is_bound(memory, plan)


def erase(memory: MemoryDomain, addresses: Addresses, chosen: list[bytes]) -> None:
    for address in chosen:
        memory.suppress(address)
        addresses.suppressed.add(address)


def assert_records_say_what_is_bound(memory: MemoryDomain, plan: ImportPlan) -> None:
    """A profile's own address, those of its present values, and the record's other ones: exactly the pointers that lead to it."""
    found: dict[bytes, set[bytes]] = {profile: set() for profile in memory.profiles()}
    for address, profile in memory.pointers().items():
        found[profile].add(address)
    for profile, record in memory.records().items():
        values = {name: record.values.get(contention.PROPERTIES.index(name)) for name in contention.IDENTIFIERS}
        present = {contention.address_of(plan, name, str(value)) for name, value in values.items() if value}
        assert found[profile] == {*present, *record.addresses} - {profile}


ALIASED = {
    "domain": "test",
    "partitions": 4,
    "address_key": "07" * 32,
    "schema_version": 1,
    "width": len(contention.PROPERTIES),
    "links": [{"column": "email", "property": "email", "type": "email"}, {"column": PROFILE_IDENTIFIER, "property": PROFILE_IDENTIFIER}],
    "mappings": [
        {"column": "email", "property": "email", "property_id": 1, "type": "email", "identifier": True, "rule": "set"},
        {"column": "customer_id", "property": "customer_id", "property_id": 0, "identifier": True, "rule": "set"},
    ],
    "allow_creation": True,
}


@pytest.mark.spec("M10")
@pytest.mark.parametrize("seed", range(8))
def test_a_row_may_claim_one_address_as_a_value_and_as_a_profile_identifier(seed: int) -> None:
    """Both cells are rejected where the address is another profile's."""
    plan = ImportPlan.model_validate(ALIASED)
    address = contention.address_of(plan, "customer_id", "C1").hex()
    nothing = dict.fromkeys(COLUMNS, "")
    rows = [
        {**nothing, "email": "a@x.example.com", "customer_id": "C1", PROFILE_IDENTIFIER: address},
        {**nothing, PROFILE_IDENTIFIER: address},
    ]
    memory, profiles, addresses = MemoryDomain(4, random.Random(seed)), dict[bytes, Profile](), Addresses()
    with mock.patch.object(batches_module, "BATCH_ROWS", 1):
        outcomes, rejects = memory.import_file(csv_bytes(rows, COLUMNS), plan)
    expected = import_rows(profiles, rows, plan, addresses, contention.owners_among(memory.profiles(), Addresses(memory.pointers())))
    assert outcomes == expected.outcomes
    assert outcomes.cells == len(rejects) in (0, 2)
    assert memory.profiles() == profiles
