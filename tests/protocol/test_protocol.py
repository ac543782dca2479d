"""The protocol's model under random kills, zombies, rollbacks, wipes and double publication; and its broken variants, each caught."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.protocol.model import Address, Broken, Cluster, Profile, Row

PARTITIONS = 3


def random_files(seed: int) -> list[list[Row]]:
    """Few customers (addresses 0–5) with few mails (10–14), some of them also linked by mail: forwards, claims, conflicts."""
    rnd = random.Random(seed)
    files = []
    for _ in range(2):
        rows: list[Row] = []
        for _ in range(rnd.randrange(4, 14)):
            link = rnd.choice([0, 1, 2, 3, 4, 5, 10, 11, 12])
            rows.append((link, rnd.randrange(1, 9), rnd.choice([None, None, 10, 11, 12, 13, 14]) if link < 10 else None))
        files.append(rows)
    return files


def run(seed: int, broken: Broken | None = None) -> str:
    """What went wrong in one schedule; empty if nothing did."""
    files = random_files(seed)
    cluster = Cluster(seed, PARTITIONS, files, broken)
    try:
        for _ in range(cluster.random.randrange(150, 500)):
            cluster.fault() if cluster.random.random() < 0.06 else cluster.step()
        if not cluster.finish(8_000):
            return "an import never ends"
    except (AssertionError, KeyError) as error:
        return f"broke: {type(error).__name__} {error}"
    return check(cluster, files)


def check(cluster: Cluster, files: list[list[Row]]) -> str:
    """Every row counted once, its number added once; every identifier of one profile only; every claim settled."""
    counted = sum(result["rows"] for result in cluster.results)
    if counted != sum(map(len, files)):
        return f"{counted} rows counted"
    claims = sum(1 for rows in files for row in rows if row[2] is not None)
    settled = sum(result["granted"] + result["conflicts"] for result in cluster.results)
    if settled > claims or any(result["undecided"] for result in cluster.results):
        return f"{settled} of {claims} claims settled"
    profiles = {address: value for partition in cluster.live for address, value in partition.keys.items() if isinstance(value, Profile)}
    pointers = {address: value for partition in cluster.live for address, value in partition.keys.items() if isinstance(value, int)}
    if sum(profile.total for profile in profiles.values()) != sum(row[1] for rows in files for row in rows):
        return "a sum is wrong"
    return check_identifiers(profiles, pointers, files)


def check_identifiers(profiles: dict[Address, Profile], pointers: dict[Address, int], files: list[list[Row]]) -> str:
    owners = Counter(address for profile in profiles.values() for address in profile.bound)
    if any(count > 1 for count in owners.values()):
        return "an identifier has two profiles"
    for address, profile_id in pointers.items():
        if profile_id not in profiles or address not in profiles[profile_id].bound:
            return "a pointer that its profile does not know"
    for address, profile in profiles.items():
        if profile.cells or (profile.mail() is not None and profile.mail() not in profile.bound):
            return "a mail that is not bound"
        wanted = [row[2] for rows in files for row in rows if row[2] is not None and row[0] == address]
        granted = [mail for mail in wanted if mail in profile.bound]
        if granted and profile.mail() != granted[-1]:
            return "the last granted mail is not the value"
    return ""


SCHEDULES = 2_000
CAUGHT_WITHIN = 2_000


def test_the_protocol_holds_under_faults() -> None:
    failures = {seed: said for seed in range(SCHEDULES) if (said := run(seed))}
    assert failures == {}


@pytest.mark.parametrize("broken", Broken)
def test_a_protocol_without_one_of_its_rules_is_caught(broken: Broken) -> None:
    assert any(run(seed, broken) for seed in range(CAUGHT_WITHIN)), f"{CAUGHT_WITHIN} schedules without: {broken.value}"
