"""The real path for tests: real store, real broker, real S3 protocol, workers as threads or as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from deployments.embedded.s3 import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, S3Server
from headrace.address import unpacked_addresses
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.merge import Profile
from headrace.segments import Segment
from headrace.settings import KafkaSettings, RedisSettings, S3Settings, Settings, WorkerSettings
from headrace.yaml_source import Configuration
from object_store.access import S3Access, connect
from object_store.store import ObjectStore
from profile_store import keys, registry
from profile_store.records import decode_record, pointed_at
from profile_store.store import Store
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.importing.await_turn import finish
from streaming.importing.close import ImportResult
from streaming.importing.context import ImportContext
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from streaming.worker.domain_worker import DomainWorker

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Pipeline:
    """Everything a test needs to import files and look at what came of it."""

    settings: Settings
    access: S3Access
    store: Store = field(init=False)
    objects: ObjectStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.settings.redis)
        self.objects = ObjectStore(self.access)

    @property
    def context(self) -> ImportContext:
        return ImportContext(self.store, self.settings.kafka, lambda _: self.objects, master_key=self.settings.api.master_key)

    def apply(self, domain: dict[str, Any], goal: dict[str, Any], connection: str = "crm", **more: Any) -> Connection:
        """Define a domain and a connection with one goal."""
        return self.apply_goals(domain, [{"kind": "import_profiles", "name": "Customers", **goal}], connection, **more)

    def apply_goals(self, domain: dict[str, Any], goals: list[dict[str, Any]], connection: str = "crm", **more: Any) -> Connection:
        """Define a domain and a connection with several goals."""
        defined = Domain.model_validate({"version": 1, "kind": "domain", **domain})
        written = Connection.model_validate(
            {
                "version": 1,
                "kind": "connection",
                "name": connection,
                "goals": goals,
                **more,
            }
        )
        configuration = Configuration({defined.name: defined}, {connection: written})
        apply_configuration(self.context, plan_configuration(self.store, configuration), "")
        return written

    def define_segments(self, domain: str, *segments: dict[str, Any]) -> None:
        written = [Segment.model_validate({"version": 1, "kind": "segment", "domain": domain, **one}) for one in segments]
        configuration = Configuration({}, {}, {(domain, one.name): one for one in written})
        apply_configuration(self.context, plan_configuration(self.store, configuration), "")

    def make_bucket(self, name: str, *, versioned: bool = False) -> None:
        client = connect(self.access, 1)
        client.create_bucket(Bucket=name)
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def put(self, bucket: str, key: str, data: bytes) -> None:
        with self.objects.open_write(bucket, key) as out:
            out.write(data)

    def run(self, connection: Connection, context: ImportContext | None = None) -> list[ImportResult]:
        """What the flow does: every wanted file of every goal, in order."""
        context, run_id, results = context or self.context, uuid.uuid4().hex, []
        for goal in connection.import_goals:
            for scanned in scan_goal(context, connection, goal):
                if not scanned.wanted:
                    continue
                registration = register_import(context, connection, goal, scanned.version, run_id)
                results.append(finish(context, registration, run_id))
        return results

    def profiles(self, domain: str) -> dict[bytes, Profile]:
        """Every profile, by its profile identifier, read through the list of numbers as an export would."""
        stored = registry.get_domain(self.store, domain)
        names = {one.id: one.name for one in stored.schema.properties}
        multiple = frozenset(one.id for one in stored.schema.properties if one.multiple)
        found: dict[bytes, Profile] = {}
        for partition in range(stored.partitions):
            client = self.store.node_of(keys.meta(domain, partition))
            packed: Any = client.get(keys.ids(domain, partition)) or b""
            identifiers, prefix = unpacked_addresses(packed), keys.address_prefix(domain, partition)
            blobs = get_each(client, [prefix + identifier for identifier in identifiers])
            for number, (identifier, blob) in enumerate(zip(identifiers, blobs, strict=True)):
                if identifier == bytes(16):  # erased
                    continue
                assert blob is not None, f"profile {number} of partition {partition} is not there"
                record = decode_record(blob, multiple)
                assert record.number == number
                found[identifier] = {names[identity]: value for identity, value in record.values.items()}
        return found

    def holders(self, domain: str) -> dict[bytes, bytes]:
        """Address → identifier of the profile that it is bound to, which is the address itself where the profile lives."""
        found: dict[bytes, bytes] = {}
        for partition in range(registry.get_domain(self.store, domain).partitions):
            prefix = keys.address_prefix(domain, partition)
            # A slot may have moved a moment ago: a command on a key is led to the new node and tells our client, a scan of the old one finds nothing.
            assert self.store.client.exists(keys.meta(domain, partition))
            client = self.store.node_of(keys.meta(domain, partition))
            there = list(client.scan_iter(match=prefix.replace(b"[", b"\\[") + b"?" * 16, count=10_000))
            for key, blob in zip(there, get_each(client, there), strict=True):
                address = bytes(key)[len(prefix) :]
                if len(address) == 16 and isinstance(blob, bytes) and blob[:1] in (b"R", b"P"):
                    found[address] = pointed_at(blob) or address
        return found

    def imported(self, domain: str, connection: str) -> tuple[set[bytes], int]:
        """The profiles that a connection has imported, and how many of those it had imported are not there any more."""
        found: set[bytes] = set()
        gone = 0
        for partition in range(registry.get_domain(self.store, domain).partitions):
            client = self.store.node_of(keys.meta(domain, partition))
            packed: Any = client.get(keys.ids(domain, partition)) or b""
            bits: Any = client.get(keys.seen(domain, partition, connection)) or b""
            for place, byte in enumerate(bits):
                for number in (8 * place + bit for bit in range(8) if byte & 128 >> bit):
                    identifier = packed[16 * number : 16 * number + 16]
                    assert len(identifier) == 16, f"profile {number} of partition {partition} was never made"
                    gone += identifier == bytes(16)
                    found |= {identifier} - {bytes(16)}
        return found, gone

    @contextmanager
    def workers(self, domain: str, count: int = 1) -> Iterator[list[DomainWorker]]:
        """Merge workers in threads of this process."""
        running = [DomainWorker(domain, Store(self.settings.redis), self.settings.kafka) for _ in range(count)]
        threads = [threading.Thread(target=worker.run, daemon=True) for worker in running]
        for thread in threads:
            thread.start()
        try:
            yield running
        finally:
            for worker in running:
                worker.stop()
            for thread in threads:
                thread.join(60)
            assert not any(thread.is_alive() for thread in threads)

    def environment(self) -> dict[str, str]:
        redis, kafka = self.settings.redis, self.settings.kafka
        return os.environ | {
            "HEADRACE_REDIS_URL": redis.url.get_secret_value(),
            "HEADRACE_REDIS_CLUSTER": str(redis.cluster),
            "HEADRACE_REDIS_DURABILITY": redis.durability,
            "HEADRACE_REDIS_REPLICAS": str(redis.replicas),
            "HEADRACE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "HEADRACE_KAFKA_SESSION_TIMEOUT_MS": str(kafka.session_timeout_ms),
            "HEADRACE_S3_ENDPOINT_URL": self.access.endpoint_url or "",
            "HEADRACE_S3_REGION": self.access.region,
            "HEADRACE_S3_ACCESS_KEY_ID": self.access.access_key_id or "",
            "HEADRACE_S3_SECRET_ACCESS_KEY": self.access.secret_access_key or "",
            "PYTHONPATH": str(ROOT),
        }

    def set_environment(self, set_one: Callable[[str, str], None]) -> None:
        """For code in this process that reads its settings; `set_one`: pytest's `monkeypatch.setenv`."""
        for name, value in self.environment().items():
            if name.startswith("HEADRACE_") and value:
                set_one(name, value)

    @contextmanager
    def process(self, *arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """A Python process of this project; killed at the end if it still runs."""
        with (
            log.open("ab") as out,
            subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=self.environment(), stdout=out, stderr=out) as child,
        ):
            try:
                yield child
            finally:
                if child.poll() is None:
                    child.kill()


def get_each(client: Any, names: list[bytes]) -> list[Any]:
    """What lies under each name, None for nothing and for what is no string; all of one partition."""
    return [one for first in range(0, len(names), 10_000) for one in client.mget(names[first : first + 10_000])]


def access_to(server: S3Server) -> S3Access:
    return S3Access(server.endpoint_url, REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY)


def pipeline(redis_url: str, kafka: str, access: S3Access, *, cluster: bool = False) -> Pipeline:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=kafka, session_timeout_ms=6_000),
        redis=RedisSettings(url=SecretStr(redis_url), cluster=cluster),
        s3=S3Settings(),
        worker=WorkerSettings(),
    )
    return Pipeline(settings, access)
