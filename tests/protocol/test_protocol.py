"""The protocol's model under random kills, zombies, rollbacks, wipes, restores and double publication; and its broken variants, each caught."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.protocol.broken import Broken
from tests.protocol.check import check
from tests.protocol.cluster import Cluster
from tests.protocol.flow import Domain, Flow, Job, Registration
from tests.protocol.model import Erasure, Message, Node, Row, Telling

PARTITIONS = 3


def random_jobs(seed: int) -> list[Job]:
    """Few customers (addresses 0–5) with few mails (10–14), some linked by mail: forwards, claims, conflicts. An erasure, a file that breaks off."""
    rnd = random.Random(seed)
    jobs = []
    for name in range(rnd.choice([2, 3, 4])):
        if name and rnd.random() < 0.3:
            address = rnd.choice([0, 1, 2, 3, 4, 5, 10, 11, 12])
            jobs.append(Job(name, erased=Erasure(address, address, rnd.random() < 0.4)))
            continue
        rows = []
        for line in range(rnd.randrange(3, 12)):
            link = rnd.choice([0, 1, 2, 3, 4, 5, 10, 11, 12])
            mail = rnd.choice([None, 10, 11, 12, 13, 14]) if link < 10 else rnd.choice([None, link])
            rows.append(Row(line, link, link, rnd.choice([0, 0, 1, 2, 5]), mail))
        jobs.append(Job(name, tuple(rows), fails_after=rnd.randrange(1, 5) if rnd.random() < 0.25 else None))
    return jobs


def run(seed: int, broken: Broken | None = None) -> str:
    """What went wrong in one schedule; empty if nothing did."""
    cluster = Cluster(seed, PARTITIONS, random_jobs(seed), broken)
    try:
        rate = cluster.random.choice([0.02, 0.05, 0.1])
        for _ in range(cluster.random.randrange(200, 2_500)):
            cluster.fault() if cluster.random.random() < rate else cluster.step()
        if not cluster.finish(8_000):
            return "an import never ends"
    except (AssertionError, KeyError) as error:
        return f"broke: {type(error).__name__} {error}"
    return check(cluster)


SCHEDULES = 600
CAUGHT_WITHIN = 2_000


def test_the_protocol_holds_under_faults() -> None:
    failures = {seed: said for seed in range(SCHEDULES) if (said := run(seed))}
    assert failures == {}


@pytest.mark.parametrize("broken", Broken)
def test_a_protocol_without_one_of_its_rules_is_caught(broken: Broken) -> None:
    assert any(run(seed, broken) for seed in range(CAUGHT_WITHIN)), f"{CAUGHT_WITHIN} schedules without: {broken.value}"


def calm(broken: Broken | None, *rows: Row, fails_after: int | None = None) -> Cluster:
    """One file, no faults but those of the test, and workers that have taken every partition over."""
    cluster = Cluster(0, PARTITIONS, [Job(0, rows, fails_after=fails_after)], broken)
    cluster.cut = cluster.stubborn = 0
    for place, owner in enumerate(cluster.owner):
        cluster.workers[owner].own(place)
        settle(cluster, place)
    return cluster


def settle(cluster: Cluster, place: int) -> None:
    """The owner of a partition takes it over, if it has to, and applies all that waits there."""
    worker = cluster.workers[cluster.owner[place]]
    for _ in range(40):
        for action in (worker.listen, worker.prepare, worker.commit):
            if place not in worker.owned:
                worker.own(place)
            action(place)


@pytest.mark.parametrize("broken", [None, Broken.COUNTER_TOKEN])
def test_a_zombie_is_refused_when_a_counter_has_come_round(broken: Broken | None) -> None:
    """The stopped owner had applied what a neighbour told; Redis lost it, and the next owner has committed as often since."""
    cluster = calm(broken, Row(0, 0, 0, 1, None))
    registration = Registration(1, 7, cluster.jobs[0])
    cluster.domain.write(Domain(registrations={1: registration}))
    zombie, node = cluster.workers[0], cluster.nodes[0]
    cluster.told[0].append(Message(1, 7, 1, 0, Telling(rows=(Row(1, 0, 10, 5, None),))))
    zombie.listen(0)
    zombie.prepare(0)
    zombie.commit(0)
    cluster.rows[0] = [message for _, message in cluster.messages(registration)]
    while zombie.owned[0].prepared is None:
        zombie.prepare(0)
    node.come_back(0)
    cluster.owner[0] = 1
    cluster.workers[1].own(0)
    cluster.workers[1].prepare(0)
    cluster.workers[1].prepare(0)
    zombie.commit(0)
    refused = node.live.last("rows", 1) == -1
    assert refused == (broken is None)
    for _ in range(2):
        cluster.told[0].append(Message(1, 7, 1, 0, Telling(rows=(Row(1, 0, 10, 5, None),))))
        settle(cluster, 0)
    assert (node.live.keys[0].total == 6) == (broken is None)


class Unlucky(Node):
    """It comes back without its last second between what it was asked and the wait for its disk, once."""

    struck = False

    def sync(self) -> Any:
        if not self.struck:
            self.struck = True
            self.come_back(0)
        return super().sync()


@pytest.mark.parametrize("broken", [None, Broken.ANOTHER_LIFE])
def test_what_was_counted_in_another_life_is_not_durable(broken: Broken | None) -> None:
    cluster = calm(broken, Row(0, 0, 0, 1, None))
    cluster.nodes[0] = node = Unlucky(cluster.nodes[0].sync())
    registration = Registration(1, 7, cluster.jobs[0])
    cluster.domain.write(Domain(registrations={1: registration}))
    cluster.rows[0] = [message for _, message in cluster.messages(registration)]
    settle(cluster, 0)
    waiting = Flow(cluster).await_outcomes(registration)
    for _ in range(100):
        if next(waiting, waiting) is waiting:
            break
        if node.struck:
            cluster.workers[0].look(0)
            settle(cluster, 0)
    assert node.struck
    assert (1 in node.versions[0].tally) == (broken is None)


@pytest.mark.parametrize("broken", [None, Broken.BLIND_CLOSING])
def test_rows_are_closed_when_that_is_on_disk(broken: Broken | None) -> None:
    """Redis comes back without it before the wait for the disk: that wait is one of another life."""
    cluster = calm(broken, Row(0, 0, 0, 1, None), fails_after=0)
    registration = Registration(1, 7, cluster.jobs[0])
    cluster.domain.write(Domain(registrations={1: registration}))
    node, lost = cluster.nodes[0], 0
    for _ in Flow(cluster).fail(registration):
        if node.live.closing and not lost:
            node.come_back(0)
            lost += 1
    assert lost
    assert (node.live.closing == 1) == (broken is None)
