"""Canaries: secrets and a cell go through everything that a connection does, and are looked for wherever something is kept (SPEC C2, C6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import Consumer, TopicPartition
from prefect import State
from prefect_aws.credentials import MinIOCredentials
from pydantic import SecretStr

from deployments.embedded.broker import BrokerServer
from deployments.embedded.prefect import PrefectServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from flows.import_profiles import import_profiles
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.yaml_source import Configuration
from object_store.access import connect
from profile_store import registry, runs
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.kafka import client_config
from tests.integration.prefect_api import PrefectApi
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.secured import Authority
from tests.servers.smtp import PASSWORD as MAIL_PASSWORD
from tests.servers.smtp import USER as MAIL_USER
from tests.servers.smtp import Mailbox, smtp_server
from tests.shop import as_csv, customers, purchases, shop

pytestmark = [pytest.mark.slow, pytest.mark.spec("C2", "C6")]

S3_SECRET, REDIS_SECRET, ADDRESS_SECRET = "canary-of-the-s3-key", "canary-of-redis", "canary-of-addresses"
SECRETS = (S3_SECRET, REDIS_SECRET, ADDRESS_SECRET, MAIL_PASSWORD)
CELL = "canary-in-a-cell"


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    authority = Authority.make(tmp_path)
    with smtp_server(authority.server_context(), starttls=True) as box:
        monkeypatch.setenv("HEADRACE_MAIL_HOST", "127.0.0.1")
        monkeypatch.setenv("HEADRACE_MAIL_PORT", str(box.port))
        monkeypatch.setenv("HEADRACE_MAIL_CA_FILE", str(authority.ca_file))
        monkeypatch.setenv("HEADRACE_MAIL_USERNAME", MAIL_USER)
        monkeypatch.setenv("HEADRACE_MAIL_PASSWORD", MAIL_PASSWORD)
        monkeypatch.setenv("HEADRACE_MAIL_SENDER", "headrace@example.com")
        yield box


@pytest.fixture
def real(
    own_valkey: Callable[[], ValkeyServer],
    tansu_server: BrokerServer,
    empty_s3: S3Server,
    in_prefect: PrefectApi,
    monkeypatch: pytest.MonkeyPatch,
) -> Pipeline:
    server = own_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "headrace", "on", f">{REDIS_SECRET}", "+@all", "~*", "&*")
    url = server.url.replace("redis://", f"redis://headrace:{REDIS_SECRET}@")
    made = pipeline(url, tansu_server.bootstrap_servers, access_to(empty_s3))
    for name, value in made.environment().items():
        if name.startswith("HEADRACE_") and value and not name.startswith("HEADRACE_S3_"):
            monkeypatch.setenv(name, value)
    made.make_bucket("crm")
    return made


def applied(real: Pipeline, domain: str) -> Connection:
    """With the address secret, the block's name, and somebody to tell."""
    connection = Connection.model_validate(
        {
            "version": 1,
            "kind": "connection",
            "name": domain,
            "s3": {"credentials": f"{domain}-block", "endpoint_url": real.access.endpoint_url},
            "notifications": {"emails": ["ops@example.com"], "on_success": True},
            "goals": [{"kind": "import_profiles", "name": "Customers", **customers(domain)}],
        }
    )
    defined = Domain.model_validate({"version": 1, "kind": "domain", **shop(domain)})
    configuration = Configuration({domain: defined}, {domain: connection})
    apply_configuration(real.context, plan_configuration(real.store, configuration), ADDRESS_SECRET)
    return connection


def run(connection: str, goal: str = "") -> State[Any]:
    return import_profiles(connection, goal, return_state=True)


def in_redis(real: Pipeline) -> bytes:
    return b"\n".join(bytes(key) + b" " + (real.store.client.dump(key) or b"") for key in real.store.client.scan_iter(count=1_000))


def in_files(*directories: Path) -> bytes:
    """What a server keeps: databases with their journals, logs."""
    return b"\n".join(path.read_bytes() for one in directories for path in sorted(one.rglob("*")) if path.is_file())


def in_s3(real: Pipeline) -> bytes:
    client = connect(real.access, 1)
    keys = [one["Key"] for one in client.list_objects_v2(Bucket="crm").get("Contents", [])]
    return b"\n".join(key.encode() + b" " + client.get_object(Bucket="crm", Key=key)["Body"].read() for key in keys)


def in_kafka(real: Pipeline, domain: str) -> bytes:
    """Every message of the domain's topics."""
    consumer = Consumer({**client_config(real.settings.kafka), "group.id": "canaries", "enable.auto.commit": False})
    found: list[bytes] = []
    try:
        for name, topic in consumer.list_topics(timeout=20).topics.items():
            for partition in topic.partitions if name.endswith(f".{domain}") else ():
                place = TopicPartition(name, partition)
                place.offset, end = consumer.get_watermark_offsets(place, timeout=20)
                consumer.assign([place])
                for _ in range(end - place.offset):
                    message = consumer.poll(20)
                    assert message is not None
                    found += [message.value() or b"", message.key() or b"", repr(message.headers()).encode()]
    finally:
        consumer.close()
    return b"\n".join(found)


def holding(text: bytes, canaries: tuple[str, ...]) -> list[str]:
    return [one for one in canaries if one.encode() in text or one.encode("utf-16-le") in text]


def test_no_secret_is_kept_anywhere_and_no_cell_outside_the_store(
    real: Pipeline,
    mailbox: Mailbox,
    in_prefect: PrefectApi,
    prefect_server: PrefectServer,
    domain_name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    key = SecretStr(S3_SECRET)
    MinIOCredentials(minio_root_user="crm", minio_root_password=key).save(f"{domain_name}-block", True)
    applied(real, domain_name)
    table = [
        *purchases(60),
        {**purchases(1)[0], "id": "C1", "amount": CELL},
        {**purchases(1)[0], "id": CELL, "amount": "1"},
    ]
    real.put("crm", "in/a.csv", as_csv(table))

    with real.workers(domain_name):
        done = run(domain_name)
    missing = run(domain_name, "no-such-goal")
    monkeypatch.setenv("HEADRACE_REDIS_URL", real.settings.redis.url.get_secret_value().replace(REDIS_SECRET, f"{REDIS_SECRET}-old"))
    refused = run(domain_name)

    # It was all used: else nothing would be shown by what follows.
    assert done.is_completed(), done.message
    [record] = [one for one in runs.list_runs(real.store, domain_name) if one.files]
    assert (record.files[0].rows, record.files[0].counts.cells) == (62, 2)
    assert missing.is_failed()
    assert refused.is_failed()
    assert "REDIS_DENIED" in str(refused.message)
    [(_, mail)] = [one for one in mailbox.mails if record.run_id in one[1].get_content()]
    assert "2 × NOT_A_NUMBER" in mail.get_content()

    out, errors = capfd.readouterr()
    prefect = in_files(prefect_server.home)
    said = "\n".join([out, errors, caplog.text, *(one.as_string() for _, one in mailbox.mails)]).encode()
    assert b"in/a.csv" in prefect, "what Prefect keeps was not found"
    assert holding(prefect, (*SECRETS, CELL)) == []
    assert holding(said, (*SECRETS, CELL)) == []
    assert holding(in_redis(real), SECRETS) == []
    assert holding(in_files(tmp_path / "valkey"), (S3_SECRET, ADDRESS_SECRET, MAIL_PASSWORD)) == []
    assert holding(in_kafka(real, domain_name), SECRETS) == []
    assert holding(in_s3(real), SECRETS) == []
    assert registry.get_domain(real.store, domain_name).address_key  # made of the secret, and not the secret


def test_a_saved_secret_is_hidden_and_changed_only_explicitly(in_prefect: PrefectApi, domain_name: str) -> None:
    name = f"{domain_name}-block"
    MinIOCredentials(minio_root_user="crm", minio_root_password=SecretStr(S3_SECRET)).save(name)
    path = f"/block_types/slug/minio-credentials/block_documents/name/{name}"
    shown = in_prefect.get(path)["data"]
    assert shown["minio_root_user"] == "crm"
    assert S3_SECRET not in str(shown)

    with pytest.raises(ValueError, match="already in use"):
        MinIOCredentials(minio_root_user="crm", minio_root_password=SecretStr("another")).save(name)
    assert _secret(name) == S3_SECRET

    MinIOCredentials(minio_root_user="crm", minio_root_password=SecretStr("another")).save(name, overwrite=True)
    assert _secret(name) == "another"


def _secret(name: str) -> str:
    loaded = MinIOCredentials.load(name, _sync=True)
    return str(loaded.minio_root_password.get_secret_value())
