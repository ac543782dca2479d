"""The faults: one function each. It strikes at once, notes with the run what has to follow, and gives whether it could strike.

One that can't now (Redis is down already, no worker is left to kill) is tried again a moment later.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from headrace.errors import HeadraceError
from streaming.kafka import client_config
from streaming.topics import make_topics
from tests.contract.profile_stores import log_of_commands
from tests.faults.flow import ERASE, SEGMENTS
from tests.faults.jobs import EXPIRE
from tests.faults.rounds import OF_EXPIRIES, points
from tests.faults.schedule import AFTER_THE_END, Fault, Kind, ticks_of
from tests.faults.shop_exports import OUT
from tests.faults.shop_files import erased_identifier
from tests.faults.shop_jobs import MOST_DAYS, job_of
from tests.faults.slots import move_slot
from tests.faults.ticks import TICK
from tests.faults.world import RedisNode
from tests.polling import eventually
from tests.servers.valkey import cluster_state

if TYPE_CHECKING:
    from tests.faults.run import Run

DOWN_SECONDS = 1.5
"""The longest a server or a worker stays down."""
FULL_SECONDS = 1.5
WINDOW_SECONDS = 2.0
"""For how long at most Redis runs without fsync before its power is cut."""
STEPS_OF_EXPIRIES = (*OF_EXPIRIES, "published", "result", "drop_import", "end")


def strike(run: Run, fault: Fault) -> bool:
    return STRIKES[fault.kind](run, fault)


def kill_worker(run: Run, fault: Fault) -> bool:
    place = int(fault.size * len(run.workers))
    if not run.workers[place].running:
        return False
    run.workers[place].kill()
    run.restart_worker(place, after=DOWN_SECONDS * (fault.size * 7 % 1))
    return True


def freeze_worker(run: Run, fault: Fault) -> bool:
    victim = run.workers[int(fault.size * len(run.workers))]
    if not victim.running:
        return False
    victim.signal(signal.SIGSTOP)
    run.later(run.stage.broker.session_timeout_ms / 1000 + 0.5 + fault.size, lambda: victim.signal(signal.SIGCONT))
    return True


def kill_flow(run: Run, fault: Fault) -> bool:
    running = [flow for flow in run.flows if flow.process.running]
    if not running:
        return False
    running[int(fault.size * len(running))].process.kill()  # the run starts it again: it has not ended well
    return True


def twin(run: Run, fault: Fault) -> bool:
    """Of an import, if there is any."""
    running = [flow for flow in run.flows if flow.process.running]
    running = [flow for flow in running if flow.task.removeprefix(TICK).startswith("c")] or running
    if not running:
        return False
    run.start_flow(running[int(fault.size * len(running))].task)
    return True


def kill_redis(run: Run, fault: Fault) -> bool:
    node = _node(run, fault)
    if node is None:
        return False
    run.shake()
    node.server.kill()
    _start_redis_again(run, node, after=DOWN_SECONDS * fault.size * (fault.size > 0.5))
    return True


def power_cut(run: Run, fault: Fault) -> bool:
    """From a moment on the server writes without fsync, so nothing of that may be believed; then some of it, or all of it, is lost."""
    node = _node(run, fault)
    if node is None:
        return False
    with redis.Redis.from_url(node.server.url, socket_timeout=5) as client:
        client.config_set("appendfsync", "no")
        # What a thread of the server is still writing to disk may be on it: it is not lost.
        eventually(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0, within=10, what="no fsync is under way")
        log = log_of_commands(node.server.options.data_directory)
        kept = log.stat().st_size
    run.redis_busy = True
    run.shake()
    ended = run.ended_flows
    if fault.at >= AFTER_THE_END and not run.flows:
        erase(run, fault)  # else there is nothing to lose any more

    def cut() -> None:
        run.shake()
        node.server.kill()
        size = log.stat().st_size
        part = max(0.0, fault.size * 2 - 1)  # every other time all of it is lost
        with log.open("r+b") as file:
            file.truncate(kept + int((size - kept) * part))
        run.note(f"power cut: {size - kept} bytes not on disk, {part:.0%} of them kept")
        _start_redis_again(run, node, after=0.0)

    # At once when a run ends meanwhile: what it believed must be there.
    run.when(lambda: run.ended_flows != ended, cut, within=WINDOW_SECONDS * (0.1 + 0.9 * (fault.size * 11 % 1)))
    return True


def _node(run: Run, fault: Fault) -> RedisNode | None:
    """A server of the schedule's, if nothing is being done to any."""
    nodes = run.stage.nodes
    return None if run.redis_busy else nodes[int(fault.size * 17 % 1 * len(nodes))]


def _start_redis_again(run: Run, node: RedisNode, after: float) -> None:
    run.redis_busy = True

    def start() -> None:
        node.start_again()
        if run.stage.schedule.cluster:
            _await_cluster(run)
        run.redis_busy = False

    run.later(after, lambda: run.in_thread(start))


def _await_cluster(run: Run) -> None:
    """A node that comes back is a member again some seconds later."""
    clients = [redis.Redis.from_url(node.server.url, socket_timeout=5) for node in run.stage.nodes]

    def whole() -> bool:
        return cluster_state(clients) is None

    eventually(whole, within=30, what="the cluster is whole again")


def redis_full(run: Run, fault: Fault) -> bool:
    node = _node(run, fault)
    if node is None:
        return False
    run.redis_busy = True
    run.shake()
    _configure(node, "maxmemory", 1)

    def empty() -> None:
        _configure(node, "maxmemory", 0)
        run.redis_busy = False

    run.later(FULL_SECONDS * (0.2 + 0.8 * fault.size), empty)
    return True


def _configure(node: RedisNode, name: str, value: object) -> None:
    with redis.Redis.from_url(node.server.url, socket_timeout=5) as client:
        client.config_set(name, value)


def cut_before(run: Run, fault: Fault) -> bool:
    if run.stage.link is None or run.redis_busy:
        return False
    run.stage.link.cut(int(fault.size * 5 % 1 * 3_000) * (fault.size > 0.3), times=1 + int(fault.size * 6), direction="request")
    return True


def cut_after(run: Run, fault: Fault) -> bool:
    if run.stage.link is None or run.redis_busy:
        return False
    run.stage.link.cut(int(fault.size * 5 % 1 * 300) * (fault.size > 0.5), times=1 + int(fault.size * 12), direction="response")
    return True


def kill_broker(run: Run, fault: Fault) -> bool:
    """In a thread: a JVM takes seconds to come back, and meanwhile other things go wrong."""
    broker = run.stage.broker
    if run.broker_busy or not (broker.keeps or run.stage.schedule.republication == "free"):
        return broker.keeps is False  # the embedded broker keeps nothing: killing it is a wipe, which this schedule forbids
    run.broker_busy = True
    broker.kill()

    def start() -> None:
        broker.start()
        if not broker.keeps:
            _make_topics(run)
        run.broker_busy = False

    run.later(DOWN_SECONDS * fault.size, lambda: run.in_thread(start))
    return True


def wipe(run: Run, _fault: Fault) -> bool:
    if run.broker_busy:
        return False
    run.broker_busy = True

    def do() -> None:
        kafka = run.stage.real.settings.kafka
        admin = AdminClient(client_config(kafka))
        domains = [one.replace("~", ".") for one in run.stage.domains]
        mine = [name for name in admin.list_topics(timeout=20).topics if name.endswith(tuple(f".{one}" for one in domains))]
        for deleted in admin.delete_topics(mine, operation_timeout=20).values():
            deleted.result(30)

        def gone() -> bool:
            return not set(mine) & set(admin.list_topics(timeout=20).topics)

        eventually(gone, within=30, what="the topics are gone")
        _make_topics(run)
        run.broker_busy = False

    run.in_thread(do)
    return True


def _make_topics(run: Run) -> None:
    kafka = run.stage.real.settings.kafka

    def made() -> bool:
        try:
            for domain in run.stage.domains:
                make_topics(kafka, domain, run.stage.schedule.partitions)
        except (HeadraceError, KafkaException):
            return False
        return True

    eventually(made, within=30, what="the topics are there again")


def publish_twice(_run: Run, _fault: Fault) -> bool:
    """The flow does it itself, being told so when it starts."""
    return True


def erase(run: Run, fault: Fault) -> bool:
    """In the sequence it comes behind what was registered before, and a later file may bring the profile back, unless it is suppressed."""
    name, value = erased_identifier(int(fault.size * 1_000))
    run.start_flow(f"{ERASE}{run.stage.domain}:{name}:{value}:{fault.size * 7 % 1 > 0.5}")
    return True


def segments(run: Run, fault: Fault) -> bool:
    run.start_flow(f"{SEGMENTS}{run.stage.domain}")
    return True


def exports(run: Run, fault: Fault) -> bool:
    run.ticking.start(OUT, ticks_of(fault.size))
    return True


def upload(run: Run, fault: Fault) -> bool:
    run.uploading.start(job_of(fault.size))
    return True


def kill_api(run: Run, _fault: Fault) -> bool:
    run.uploading.kill_api()
    return True


def expire(run: Run, fault: Fault) -> bool:
    """Of every domain that jobs are for. Every other one is killed at a step; the next one finishes it."""
    rnd = random.Random(fault.size)
    days, failpoint = rnd.randint(1, MOST_DAYS), rnd.choice(points(STEPS_OF_EXPIRIES)) if rnd.random() < 0.5 else ""
    for domain in run.stage.schedule.job_domains(run.stage.domain):
        run.start_flow(f"{EXPIRE}{domain}:{days}", failpoint)
    return True


def reshard(run: Run, fault: Fault) -> bool:
    """The slot of one partition, or of the domain itself, goes to the next node, key by key. Every other time one of the two is killed on the way."""
    if run.redis_busy:
        return False
    name, partitions = run.stage.domain, run.stage.schedule.partitions
    tag = f"{{{name}}}" if fault.size > 0.8 else f"{{{name}:{int(fault.size / 0.8 * partitions)}}}"
    run.redis_busy = True

    def halfway(source: int, target: int) -> None:
        if fault.size * 13 % 1 > 0.5:
            return
        run.shake()
        node = run.stage.nodes[target if fault.size * 29 % 1 > 0.5 else source]
        node.server.kill()
        run.note(f"one of the nodes that the slot of {tag} moves between is killed -9")
        node.start_again()
        _await_cluster(run)

    def do() -> None:
        servers = [node.server for node in run.stage.nodes]
        run.note(f"the slot of {tag} has moved, {move_slot(servers, tag, halfway)} keys")
        run.redis_busy = False

    run.in_thread(do)
    return True


STRIKES: dict[Kind, Callable[[Run, Fault], bool]] = {
    Kind.KILL_WORKER: kill_worker,
    Kind.FREEZE_WORKER: freeze_worker,
    Kind.KILL_FLOW: kill_flow,
    Kind.KILL_REDIS: kill_redis,
    Kind.POWER_CUT: power_cut,
    Kind.KILL_BROKER: kill_broker,
    Kind.CUT_BEFORE: cut_before,
    Kind.CUT_AFTER: cut_after,
    Kind.REDIS_FULL: redis_full,
    Kind.TWIN: twin,
    Kind.PUBLISH_TWICE: publish_twice,
    Kind.WIPE: wipe,
    Kind.ERASE: erase,
    Kind.RESHARD: reshard,
    Kind.SEGMENTS: segments,
    Kind.EXPORTS: exports,
    Kind.UPLOAD: upload,
    Kind.KILL_API: kill_api,
    Kind.EXPIRE: expire,
}
assert set(STRIKES) == set(Kind)
