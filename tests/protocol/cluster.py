"""The whole installation, one seed, one schedule: servers, topics, workers, drivers, and what befalls them."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.protocol.broken import Broken
from tests.protocol.flow import Domain, Flow, Job, Registration, Steps, batches_of
from tests.protocol.model import Message, Node, Partition
from tests.protocol.worker import Worker

ACTIONS = ["prepare"] * 5 + ["commit"] * 5 + ["listen"] * 3 + ["look"] * 2 + ["tell"] * 2 + ["prune", "delete"]
FAULTS = ["kill", "rebalance", "power", "power", "republish", "old", "echo", "deafen", "wipe", "kill_flow", "second_driver", "restore"]


class Cluster:
    """`step()` does one random thing that may happen; `fault()` one that should not matter. Each schedule has some kinds of faults.

    `rows`, `told`: the two topics; `committed`: the group's offsets. A partition lives on a Redis server of its own, `domain` on another. `terse`: what
    neighbours are told is split.
    """

    def __init__(self, seed: int, partitions: int, jobs: list[Job], broken: Broken | None = None) -> None:
        self.random = random.Random(seed)
        self.broken = broken
        self.partitions = partitions
        self.jobs = jobs
        self.nodes = [Node(Partition(token=self.random.getrandbits(32))) for _ in range(partitions)]
        self.domain = Node(Domain())
        self.rows: list[list[Message]] = [[] for _ in range(partitions)]
        self.told: list[list[Message]] = [[] for _ in range(partitions)]
        self.committed = [0] * partitions
        self.owner = [place % 2 for place in range(partitions)]
        self.stubborn, self.cut = 0.3, 0.02
        self.kinds = self.random.sample(FAULTS, self.random.randrange(2, 7))
        self.terse = self.random.random() < 0.5
        self.workers = [Worker(self, 0), Worker(self, 1)]
        self.flows: list[Steps] = [Flow(self).run()]
        self.wiped = False
        self.published: list[tuple[int, Message]] = []
        self.heard: list[tuple[int, Message]] = []
        self.backups: list[tuple[Domain, list[Partition]]] = []

    @property
    def over(self) -> bool:
        domain: Domain = self.domain.live
        return len(domain.registrations) == len(self.jobs) == domain.floor

    def fresh_token(self, before: int) -> int:
        return before + 1 if self.broken is Broken.COUNTER_TOKEN else self.random.getrandbits(32)

    def messages(self, registration: Registration) -> list[tuple[int, Message]]:
        return batches_of(registration, self.partitions)

    def keep_backup(self) -> None:
        """Between two imports nothing is in flight; a driver that comes late finds the next one begun."""
        if self.domain.live.floor == len(self.domain.live.registrations):
            self.backups.append((self.domain.live, [node.live for node in self.nodes]))

    # what happens

    def step(self) -> None:
        if self.random.random() < 0.25:
            place = self.random.randrange(len(self.flows))
            if next(self.flows[place], self) is self:
                self.flows[place] = Flow(self).run()
            return
        place = self.random.randrange(self.partitions)
        worker = self.workers[self.owner[place]]
        zombie = self.workers[1 - self.owner[place]]
        if place in zombie.owned and self.random.random() < 0.3:
            worker = zombie
        if place not in worker.owned:
            worker.own(place)
        getattr(worker, self.random.choice(ACTIONS))(place)

    def fault(self) -> None:
        strike: Callable[[], None] = getattr(self, self.random.choice(self.kinds))
        strike()

    def finish(self, steps: int) -> bool:
        """Go on without faults; whether every job came to its end."""
        self.stubborn = self.cut = 0
        for _ in range(steps):
            if self.over:
                return True
            self.step()
        return self.over

    # faults

    def kill(self) -> None:
        worker = self.random.choice(self.workers)
        worker.owned.clear()
        worker.gone.clear()

    def rebalance(self) -> None:
        """The former owner knows nothing of it: a zombie."""
        place = self.random.randrange(self.partitions)
        self.owner[place] = 1 - self.owner[place]
        self.workers[self.owner[place]].own(place)

    def power(self) -> None:
        """Some servers come back at some moment of what was not on disk yet; nobody is told."""
        for node in self.random.sample([*self.nodes, self.domain], self.random.randrange(1, self.partitions + 2)):
            node.come_back(self.random.choice([0, self.random.randrange(len(node.versions))]))

    def republish(self) -> None:
        """All over again, up to some batch: the current import, or one before."""
        domain: Domain = self.domain.versions[0]
        if domain.registrations:
            registration = domain.registrations[max(1, self.random.randrange(len(domain.registrations) + 1))]
            messages = self.messages(registration)[: registration.job.fails_after]
            for place, message in messages[: self.random.randrange(len(messages) + 1)]:
                self.rows[place].append(message)

    def old(self) -> None:
        """Messages of row batches come again, as they stand in the log."""
        place = self.random.randrange(self.partitions)
        self.rows[place] += self.rows[place][-self.random.randrange(1, 9) :]

    def echo(self) -> None:
        """Neighbours' messages come again."""
        place = self.random.randrange(self.partitions)
        self.told[place] += self.told[place][-self.random.randrange(1, 9) :]

    def deafen(self) -> None:
        """What neighbours say is lost: their topic is wiped, or a receiver was away."""
        self.told[self.random.randrange(self.partitions)].clear()

    def wipe(self) -> None:
        """The topic of row batches is deleted and made again: after that, and only then, may the driver have to publish again."""
        place = self.random.randrange(self.partitions)
        self.rows[place].clear()
        self.committed[place] = 0
        self.wiped = True

    def kill_flow(self) -> None:
        self.flows[self.random.randrange(len(self.flows))] = Flow(self).run()

    def second_driver(self) -> None:
        if len(self.flows) == 1:
            self.flows.append(Flow(self).run())

    def restore(self) -> None:
        """Everything is stopped, and Redis put back to a backup. What it lost is imported again, other work first: numbers come round."""
        if not self.backups:
            return
        domain, partitions = self.random.choice(self.backups)
        self.backups.clear()
        for node, partition in zip(self.nodes, partitions, strict=True):
            node.versions, node.life = [partition], node.life + 1
        self.domain.versions, self.domain.life = [domain], self.domain.life + 1
        for worker in self.workers:
            worker.owned.clear()
            worker.gone.clear()
        self.flows = [Flow(self).run()]
        done = {one.job.name for one in domain.registrations.values()}
        lost = [job for job in self.jobs if job.name not in done]
        self.jobs = [job for job in self.jobs if job.name in done] + lost[1:] + lost[:1]
