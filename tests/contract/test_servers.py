"""What we rely on in the servers, asked of the servers themselves: a new release that behaves otherwise fails here first."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from botocore.exceptions import ClientError
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deployments.embedded.directory import lock_directory
from deployments.embedded.processes import (
    ChildProcess,
    ProcessSpec,
    ServerNotStartedError,
    free_port,
    port_is_free,
    port_or_free,
    server_environment,
    tcp_probe,
)
from deployments.embedded.s3 import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, S3Server
from deployments.embedded.valkey import ValkeyServer
from object_store.access import S3Access, connect
from tests.polling import eventually
from tests.servers.kafka import JARS, KafkaBroker, find_kafka
from tests.servers.prefect_database import put_migrated_database
from tests.servers.report import ServerReport
from tests.servers.valkey import SLOTS, RedisTarget, ValkeyCluster, cluster_client

PARTITIONS = 32
JOIN_SECONDS = 60.0


# --- Valkey


def test_a_write_can_be_made_durable_by_waitaof(valkey: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("{d:0}:meta", "token")
        assert client.execute_command("WAITAOF", 1, 0, 5000) == [1, 0]


def test_valkey_never_evicts_and_writes_every_command_to_disk(valkey: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        settings = {name: client.config_get(name)[name] for name in ("maxmemory-policy", "appendonly", "appendfsync", "save", "bind")}
    assert settings == {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always", "save": "", "bind": "127.0.0.1"}


def test_a_killed_valkey_comes_back_with_what_it_had_confirmed(own_valkey: Callable[[], ValkeyServer]) -> None:
    server = own_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
        assert client.execute_command("WAITAOF", 1, 0, 5000) == [1, 0]
    server.kill()
    assert not server.process.running
    again = own_valkey()
    assert again.port == server.port
    with redis.Redis.from_url(again.url) as client:
        assert client.get("kept") == b"yes"


def test_the_cluster_has_three_masters_that_share_all_slots(valkey_cluster: ValkeyCluster) -> None:
    with redis.Redis.from_url(valkey_cluster.url) as client:
        slots = client.execute_command("CLUSTER", "SLOTS")
    assert sum(last - first + 1 for first, last, *_ in slots) == SLOTS
    assert {master[1] for _, _, master in slots} == {node.port for node in valkey_cluster.nodes}  # no fourth field: no replicas


def test_keys_of_one_tag_go_together_and_others_spread(valkey_cluster: ValkeyCluster) -> None:
    client = cluster_client(valkey_cluster)
    try:
        for partition in range(PARTITIONS):
            client.mset({f"{{retail:{partition}}}:a": 1, f"{{retail:{partition}}}:b": 2})
            assert client.mget([f"{{retail:{partition}}}:a", f"{{retail:{partition}}}:b"]) == [b"1", b"2"]
        sizes = []
        for node in valkey_cluster.nodes:
            with redis.Redis.from_url(node.url) as one:
                sizes.append(one.dbsize())
    finally:
        client.close()
    assert sum(sizes) == 2 * PARTITIONS
    assert min(sizes) > 0


def test_a_test_gets_an_empty_store(redis_target: RedisTarget, request: pytest.FixtureRequest) -> None:
    nodes = request.getfixturevalue("valkey_cluster").nodes if redis_target.cluster else (request.getfixturevalue("valkey"),)
    for node in nodes:
        with redis.Redis.from_url(node.url) as client:
            assert client.dbsize() == 0


# --- Kafka


def make_topic(servers: str, topic: str) -> AdminClient:
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    return admin


def produce(servers: str, topic: str, each: int) -> None:
    """`each` messages to every partition, confirmed by all replicas."""
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "compression.type": "lz4"})
    failures: list[object] = []
    for partition in range(PARTITIONS):
        for number in range(each):
            producer.produce(
                topic,
                f"{partition}/{number}".encode(),
                partition=partition,
                headers={"kind": b"rows"},
                on_delivery=lambda error, _message: failures.append(error) if error else None,
            )
    assert producer.flush(30) == 0
    assert not failures


@contextmanager
def consumer(servers: str, group: str) -> Iterator[Consumer]:
    one = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1500,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "partition.assignment.strategy": "cooperative-sticky",
        }
    )
    try:
        yield one
    finally:
        one.close()


def consume(one: Consumer, seen: list[tuple[int, int]]) -> None:
    """Whatever is there; notes partition and offset."""
    for message in one.consume(1000, timeout=0.2):
        if message.error():
            raise KafkaException(message.error())
        assert message.headers() == [("kind", b"rows")]
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        seen.append((partition, offset))


def test_what_is_produced_is_consumed_once_in_order_and_its_offsets_are_kept(kafka_bootstrap_servers: str, topic_name: str) -> None:
    make_topic(kafka_bootstrap_servers, topic_name)
    produce(kafka_bootstrap_servers, topic_name, each=10)
    seen: list[tuple[int, int]] = []
    with consumer(kafka_bootstrap_servers, topic_name) as one:
        one.subscribe([topic_name])

        def all_seen() -> bool:
            consume(one, seen)
            return len(seen) >= 10 * PARTITIONS

        eventually(all_seen, within=JOIN_SECONDS, what=f"{10 * PARTITIONS} messages consumed")
        one.commit(asynchronous=False)
    for partition in range(PARTITIONS):
        assert [offset for of, offset in seen if of == partition] == list(range(10))
    with consumer(kafka_bootstrap_servers, topic_name) as again:
        committed = again.committed([TopicPartition(topic_name, partition) for partition in range(PARTITIONS)], timeout=60)
    assert [one.offset for one in committed] == [10] * PARTITIONS


def test_two_workers_share_the_partitions_and_a_stayer_keeps_some_throughout(kafka_bootstrap_servers: str, topic_name: str) -> None:
    """Cooperative-sticky: the newcomer gets half, and what the first one keeps is never taken from it meanwhile."""
    make_topic(kafka_bootstrap_servers, topic_name)
    revoked: list[TopicPartition] = []
    with ExitStack() as closing:
        first = closing.enter_context(consumer(kafka_bootstrap_servers, topic_name))
        first.subscribe([topic_name], on_revoke=lambda _consumer, partitions: revoked.extend(partitions))
        eventually(lambda: first.poll(0.1) or len(first.assignment()) == PARTITIONS, within=JOIN_SECONDS, what="one worker alone holds all")
        second = closing.enter_context(consumer(kafka_bootstrap_servers, topic_name))
        second.subscribe([topic_name])

        def spread() -> bool:
            first.poll(0.1)
            second.poll(0.1)
            return (len(first.assignment()), len(second.assignment())) == (PARTITIONS // 2, PARTITIONS // 2)

        eventually(spread, within=JOIN_SECONDS, what="each of two workers holds half of the partitions")
        ours, theirs = ({one.partition for one in worker.assignment()} for worker in (first, second))
        assert ours | theirs == set(range(PARTITIONS))
        assert {one.partition for one in revoked} == theirs


def test_real_kafka_is_release_four(apache_kafka: str, real_kafka: object, server_report: ServerReport) -> None:
    assert "Apache Kafka 4." in server_report.ran["Apache Kafka"]
    assert getattr(real_kafka, "version", "").startswith("4.")
    # The jar that really runs, not what we believe of it.
    if JARS.exists() and "Maven" in server_report.ran["Apache Kafka"]:
        assert [jar.name for jar in JARS.glob("kafka_2.13-*.jar")] == [f"kafka_2.13-{getattr(real_kafka, 'version', '')}.jar"]
    assert AdminClient({"bootstrap.servers": apache_kafka}).describe_cluster().result(30).controller is not None


def test_a_killed_kafka_comes_back_with_its_messages(own_kafka: KafkaBroker, topic_name: str) -> None:
    make_topic(own_kafka.bootstrap_servers, topic_name)
    produce(own_kafka.bootstrap_servers, topic_name, each=3)
    own_kafka.kill()
    own_kafka.start()
    with consumer(own_kafka.bootstrap_servers, topic_name) as one:

        def high() -> list[int]:
            try:
                return [one.get_watermark_offsets(TopicPartition(topic_name, partition), timeout=5)[1] for partition in range(PARTITIONS)]
            except KafkaException as error:
                raise AssertionError(str(error)) from error

        assert eventually(high, within=60, what="the restarted broker answers for every partition") == [3] * PARTITIONS


def test_without_java_and_docker_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    reason = getattr(find_kafka(), "reason", None)
    assert reason == "there is no java, and no Docker engine answers"
    report = ServerReport()
    report.note_missing("Apache Kafka", reason)
    assert f"did not run: Apache Kafka, because {reason}" in report.lines()


# --- S3


def test_s3_puts_an_upload_together_as_s3_does(empty_s3: S3Server) -> None:
    """The part of moto's that this project replaces: by one copy, and with moto's checksum only where one was asked for."""
    s3: Any = connect(S3Access(empty_s3.endpoint_url, REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY), 1)
    large, last = b"a" * (5 << 20), b"b"

    def upload(*bodies: bytes, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        one = {"Bucket": "bucket", "Key": "parts"}
        one["UploadId"] = s3.create_multipart_upload(**one, **options)["UploadId"]
        sent = [s3.upload_part(**one, PartNumber=number, Body=body) for number, body in enumerate(bodies, 1)]
        return one, [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(sent, 1)]

    s3.create_bucket(Bucket="bucket")
    for options in ({}, {"ChecksumAlgorithm": "SHA256"}):
        one, parts = upload(large, last, **options)
        etag = s3.complete_multipart_upload(**one, MultipartUpload={"Parts": parts})["ETag"]
        digests = hashlib.md5(large).digest() + hashlib.md5(last).digest()
        assert etag == f'"{hashlib.md5(digests).hexdigest()}-2"'
        assert s3.get_object(Bucket="bucket", Key="parts")["Body"].read() == large + last

    def refused(parts: list[dict[str, Any]], one: dict[str, Any]) -> str:
        with pytest.raises(ClientError) as caught:
            s3.complete_multipart_upload(**one, MultipartUpload={"Parts": parts})
        return str(caught.value.response["Error"]["Code"])

    one, parts = upload(last, large)
    assert refused(parts, one) == "EntityTooSmall"
    assert refused([*parts[:1], {"PartNumber": 2, "ETag": parts[0]["ETag"]}], one) == "InvalidPart"
    assert refused([*parts, {"PartNumber": 3, "ETag": parts[0]["ETag"]}], one) == "InvalidPart"


def test_s3_refuses_a_copy_of_a_replaced_source(empty_s3: S3Server) -> None:
    """`pin` relies on it; moto alone would copy whatever is there."""
    put(empty_s3, "/bucket", b"")
    old = put(empty_s3, "/bucket/file.csv", b"first")
    put(empty_s3, "/bucket/file.csv", b"second")
    with pytest.raises(urllib.error.HTTPError) as refused:
        put(empty_s3, "/bucket/pin", b"", {"x-amz-copy-source": "/bucket/file.csv", "x-amz-copy-source-if-match": old})
    assert refused.value.code == 412
    with pytest.raises(urllib.error.HTTPError) as absent:
        urllib.request.urlopen(f"{empty_s3.endpoint_url}/bucket/pin")
    assert absent.value.code == 404


def put(server: S3Server, path: str, body: bytes, headers: dict[str, str] | None = None) -> str:
    """PUT; returns the ETag. The server looks at the form of the signature alone; a body without a type would be taken for a form."""
    signed = {
        "Content-Type": "text/csv",
        "Authorization": "AWS4-HMAC-SHA256 Credential=headrace/20260101/us-east-1/s3/aws4_request",
        **(headers or {}),
    }
    request = urllib.request.Request(server.endpoint_url + path, data=body, headers=signed, method="PUT")
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers.get("ETag"))


# --- processes


def child(tmp_path: Path, *command: str) -> ChildProcess:
    return ChildProcess.start(ProcessSpec("a child", command, server_environment(), tmp_path, tmp_path / "child.log", stop_seconds=1))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


FLOW_RUNS = 20
LIKE_A_PREFECT_WORKER = f"for i in {{1..{FLOW_RUNS}}}; do (setsid sleep 600 & echo $!; wait) & done; exec sleep 600"
"""Twenty processes in the group of the child, each with a child in a session of its own, as Prefect's flow runs are."""


def test_a_child_and_what_it_started_die_with_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.contract.test_servers import LIKE_A_PREFECT_WORKER, child\n"
        "print(child(Path(sys.argv[1]), 'bash', '-c', LIKE_A_PREFECT_WORKER).pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        runs = started_below(tmp_path / "child.log")
        assert alive(server)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    eventually(lambda: not any(alive(pid) for pid in (server, *runs)), within=10, what="child and grandchildren are gone")


def test_what_a_child_started_dies_with_it(tmp_path: Path) -> None:
    one = child(tmp_path, "bash", "-c", LIKE_A_PREFECT_WORKER)
    runs = started_below(one.log_path)
    one.kill()
    assert not any(alive(pid) for pid in (one.pid, *runs))


def test_a_process_that_one_look_misses_is_found_by_the_next(tmp_path: Path) -> None:
    """/proc is no snapshot: once pids have wrapped round, a look can miss a process whose parent is dying. Here the first is empty."""
    program = (
        "from deployments.embedded import keeper; below = keeper.below; looks = []\n"
        "keeper.below = lambda ancestor: looks.append(1) or (below(ancestor) if len(looks) > 1 else set())\n"
        "raise SystemExit(keeper.main())"
    )
    log = tmp_path / "child.log"
    with log.open("wb") as output:
        arguments = [str(os.getpid()), "1", "2", "--", "bash", "-c", LIKE_A_PREFECT_WORKER]
        one = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=output, stderr=subprocess.DEVNULL)
    runs = started_below(log)
    one.terminate()
    assert one.wait(60) == 128 + signal.SIGTERM
    assert not any(alive(pid) for pid in runs)


def started_below(log: Path) -> list[int]:
    """The pids that the child wrote, once each of them leads a session of its own."""

    def pids() -> list[int] | None:
        found = [int(line) for line in log.read_text().split()]
        return found if len(found) == FLOW_RUNS and all(os.getsid(pid) == pid for pid in found) else None

    return eventually(pids, within=10, what=f"{FLOW_RUNS} grandchildren run in sessions of their own")


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[ChildProcess] = []
    thread = threading.Thread(target=lambda: started.append(child(tmp_path, "bash", "-c", "sleep 0.3; exit 7")))
    thread.start()
    thread.join()
    assert started[0].wait(60) == 7


def test_a_child_that_ignores_sigterm_is_killed_at_its_deadline(tmp_path: Path) -> None:
    one = child(tmp_path, "bash", "-c", "trap '' TERM; echo ready; while true; do sleep 0.05; done")
    eventually(lambda: "ready" in one.log_path.read_text(), within=10, what="the child has set its trap")
    one.stop()
    assert one.exit_code == 128 + signal.SIGKILL
    assert not alive(one.pid)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    one = child(tmp_path, "bash", "-c", "echo the disk is on fire; exit 3")
    with pytest.raises(ServerNotStartedError, match="exit code 3") as refused:
        one.wait_until_ready(tcp_probe(free_port()), seconds=10)
    assert "the disk is on fire" in str(refused.value)
    assert str(one.log_path) in str(refused.value)


def test_two_stacks_that_start_at_once_get_different_ports() -> None:
    """Nothing listens yet: the first was only given its port. Two Prefect servers on one port both look ready, until the second ends."""
    asks = "from deployments.embedded.processes import port_or_free; print(port_or_free({}), flush=True); input()"
    wanted = free_port_of_others()
    command = [sys.executable, "-c", asks.format(wanted)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second,
    ):
        given = [int(one.stdout.readline()) for one in (first, second) if one.stdout]
        assert port_or_free(wanted) not in given
        for one in (first, second):
            one.communicate("\n", timeout=60)
    assert wanted in given
    assert len(set(given)) == 2
    assert port_or_free(wanted) == wanted, "a claim ends with its process"


def free_port_of_others() -> int:
    """Free, and not claimed by us: below what `free_port` hands out."""
    return next(port for port in range(14_999, 10_000, -1) if port_is_free(port))


def test_one_directory_has_one_stack(tmp_path: Path) -> None:
    first = lock_directory(tmp_path)
    try:
        with pytest.raises(ServerNotStartedError, match=f"process {os.getpid()} holds it"):
            lock_directory(tmp_path, seconds=0.1)
    finally:
        os.close(first)
    os.close(lock_directory(tmp_path))


@pytest.mark.slow
def test_nothing_of_a_stack_is_left_when_its_owner_is_killed(tmp_path: Path) -> None:
    """Four servers and the Prefect worker, by kill -9 of the process that started them; then its directory can be used again."""
    program = (
        "import json, sys, time; from pathlib import Path; from deployments.embedded.stack import EmbeddedStack, StackOptions\n"
        "stack = EmbeddedStack(StackOptions(directory=Path(sys.argv[1]), merge_workers=0)); stack.start()\n"
        "servers = stack.servers\n"
        "processes = [servers.valkey.process, servers.broker.process, servers.s3.process, servers.prefect.process, stack.prefect_worker]\n"
        "print(json.dumps([[process.pid for process in processes], stack.environment()]), flush=True); time.sleep(600)"
    )
    put_migrated_database(tmp_path / "prefect")
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        pids, environment = json.loads(owner.stdout.readline())
        assert all(alive(pid) for pid in pids)
        assert environment["PREFECT_HOME"].startswith(str(tmp_path))
        with redis.Redis.from_url(environment["HEADRACE_REDIS_URL"]) as client:
            assert client.ping()
        assert AdminClient({"bootstrap.servers": environment["HEADRACE_KAFKA_BOOTSTRAP_SERVERS"]}).list_topics(timeout=60).brokers
        with urllib.request.urlopen(f"{environment['PREFECT_API_URL']}/work_pools/headrace") as answer:
            assert answer.status == 200
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    eventually(lambda: not any(alive(pid) for pid in pids), within=20, what="no server of the killed stack is left")
    os.close(lock_directory(tmp_path))
