"""The servers of the benchmarks, all of them real and started here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from deployments.embedded import s3
from deployments.embedded.broker import start_broker
from deployments.embedded.merge_worker import start_merge_worker
from deployments.embedded.processes import free_port
from deployments.embedded.valkey import ValkeyOptions, start_valkey
from headrace.settings import KafkaSettings, RedisSettings, S3Settings, Settings
from object_store.access import S3Access
from object_store.store import ObjectStore
from profile_store.store import Store
from streaming.importing.context import ImportContext


@dataclass(frozen=True)
class Servers:
    """`pids`: what runs, by name."""

    redis_url: str
    kafka: str
    endpoint_url: str
    pids: dict[str, int] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {
            "HEADRACE_REDIS_URL": self.redis_url,
            "HEADRACE_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "HEADRACE_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "HEADRACE_S3_ENDPOINT_URL": self.endpoint_url,
            "HEADRACE_S3_ACCESS_KEY_ID": s3.ACCESS_KEY_ID,
            "HEADRACE_S3_SECRET_ACCESS_KEY": s3.SECRET_ACCESS_KEY,
        }

    def context(self) -> ImportContext:
        settings = Settings(
            redis=RedisSettings(url=SecretStr(self.redis_url)),
            kafka=KafkaSettings(bootstrap_servers=self.kafka, session_timeout_ms=6_000),
            s3=S3Settings(),
        )
        return ImportContext(Store(settings.redis), settings.kafka, lambda _: ObjectStore(self.access()))

    def access(self) -> S3Access:
        return S3Access(self.endpoint_url, s3.REGION, s3.ACCESS_KEY_ID, s3.SECRET_ACCESS_KEY)


@contextmanager
def servers(directory: Path, workers: int = 2) -> Iterator[Servers]:
    """Valkey (every write on disk before its reply), the embedded broker, S3 and merge workers, until the block ends."""
    with ExitStack() as stack:
        valkey = stack.enter_context(start_valkey(ValkeyOptions(directory / "valkey", directory / "valkey.log", free_port())))
        broker = stack.enter_context(start_broker(directory=directory, log_path=directory / "broker.log", port=free_port()))
        objects = stack.enter_context(s3.start_s3(directory=directory, log_path=directory / "s3.log", port=free_port()))
        started = Servers(valkey.url, broker.bootstrap_servers, objects.endpoint_url)
        started.pids.update(redis=valkey.process.pid, broker=broker.process.pid)
        for number in range(workers):
            name = f"worker-{number}"
            worker = start_merge_worker(
                name=name, environment=started.environment(), directory=directory, log_path=directory / f"{name}.log"
            )
            started.pids[name] = stack.enter_context(worker).process.pid
        yield started


def peak_rss_mb(pid: int | str = "self") -> int:
    """Of a process. Not ru_maxrss: a child inherits its parent's."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)
