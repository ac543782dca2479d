"""Kafka behind TLS and SASL, Redis behind TLS and an ACL user, Prefect behind a password: who is let in works, who is not is told what to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)
from pydantic import SecretStr

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from deployments.started_runs import deploy, look_at_run, start_run
from flows.import_profiles import import_profiles
from headrace.connections import S3Location
from headrace.errors import TerminalError
from headrace.settings import KafkaSettings, RedisSettings, S3Settings, Settings, WorkerSettings
from profile_store import registry
from profile_store.store import Store
from streaming.topics import partitions_of
from tasks.credentials import CredentialsError, s3_access
from tests.integration.conftest import send_what_waits
from tests.pipeline import Pipeline, access_to
from tests.servers.brokers import RealKafka, without
from tests.servers.kafka import KafkaJars, NoKafka
from tests.servers.report import ServerReport
from tests.servers.secured import PASSWORD, USER, Authority, SecuredKafka, guarded_prefect, tls_front
from tests.shop import as_csv, customers, purchases, shop

REDIS_PASSWORD = "a password of Redis'"
WHO = "headrace:a-password-of-prefects"
COMMANDS = ("+@all", "-@dangerous", "+info", "+config|get", "~*", "&*")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured_kafka(
    real_kafka: RealKafka, authority: Authority, tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport
) -> Iterator[SecuredKafka]:
    if not isinstance(real_kafka, KafkaJars):
        without(NoKafka("a broker with TLS and SASL is made from its jars: that needs Java and Maven here"), server_report)
    assert isinstance(real_kafka, KafkaJars)
    broker = SecuredKafka(real_kafka, tmp_path_factory.mktemp("secured-kafka"), authority)
    broker.format()
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def kafka_settings(broker: SecuredKafka, ca_file: Path, **changed: str) -> KafkaSettings:
    written = {
        "bootstrap_servers": broker.bootstrap_servers,
        "session_timeout_ms": "6000",
        "security_protocol": "sasl_ssl",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
        "ca_file": str(ca_file),
    }
    return KafkaSettings.model_validate(written | changed)


@pytest.fixture
def secured_redis(own_valkey: Callable[[], ValkeyServer], authority: Authority) -> Iterator[RedisSettings]:
    """An ACL user of what Headrace needs; the default user is off."""
    server = own_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", USER, "on", f">{REDIS_PASSWORD}", *COMMANDS)
        client.execute_command("ACL", "SETUSER", "default", "off")
    with tls_front(server.port, authority.server_context()) as port:
        url = f"rediss://{USER}:{REDIS_PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/0"
        yield RedisSettings(url=SecretStr(url), ca_file=str(authority.ca_file))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_an_import_where_every_server_asks_who_is_there(
    mechanism: str, secured_kafka: SecuredKafka, authority: Authority, secured_redis: RedisSettings, empty_s3: S3Server, domain_name: str
) -> None:
    kafka = kafka_settings(secured_kafka, authority.ca_file, sasl_mechanism=mechanism)
    real = Pipeline(Settings(kafka=kafka, redis=secured_redis, s3=S3Settings(), worker=WorkerSettings()), access_to(empty_s3))
    real.make_bucket("crm")
    connection = real.apply(shop(domain_name, 2), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases(200)))
    real.store.check_safe()
    with real.workers(domain_name):
        [result] = real.run(connection)
    assert (result.state, result.outcomes.rows) == ("COMPLETE", 200)


@pytest.mark.parametrize("wrong", ["password", "authority"])
def test_who_is_not_let_in_to_kafka_is_told(wrong: str, secured_kafka: SecuredKafka, authority: Authority, tmp_path: Path) -> None:
    if wrong == "password":
        settings = kafka_settings(secured_kafka, authority.ca_file, sasl_password="another one")
    else:
        settings = kafka_settings(secured_kafka, Authority.make(tmp_path).ca_file)
    with pytest.raises(TerminalError, match="do not agree on the") as caught:
        partitions_of(settings, "any")
    assert caught.value.code == "KAFKA_DENIED"
    assert "another one" not in str(caught.value)


def test_who_is_not_let_in_to_redis_is_told(secured_redis: RedisSettings, tmp_path: Path) -> None:
    url = secured_redis.url.get_secret_value()
    stranger = Store(RedisSettings(url=SecretStr(url.replace("a%20password", "another")), ca_file=secured_redis.ca_file))
    with pytest.raises(TerminalError) as caught:
        registry.domain_names(stranger)
    assert caught.value.code == "REDIS_DENIED"
    elsewhere = Store(RedisSettings(url=SecretStr(url), ca_file=str(Authority.make(tmp_path).ca_file)))
    with pytest.raises(TerminalError) as caught:
        registry.domain_names(elsewhere)
    assert caught.value.code == "REDIS_DENIED"
    assert "certificate" in str(caught.value)


def test_prefect_with_a_password_works_for_who_knows_it_and_others_are_told(
    tmp_path: Path, flow_servers: Pipeline, domain_name: str
) -> None:
    real = flow_servers
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases(20)))
    named = S3Location(credentials="a-block")
    with guarded_prefect(tmp_path, WHO) as server:
        settings: dict[Any, Any] = {
            PREFECT_API_URL: f"{server.ui_url}/api",
            PREFECT_HOME: server.home,
            PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
        }
        for who in (None, "headrace:another-one"):
            with temporary_settings(settings | {PREFECT_API_AUTH_STRING: who}):
                for ask in (lambda: deploy([connection]), lambda: start_run("crm", ""), lambda: s3_access(named, S3Settings())):
                    with pytest.raises(TerminalError, match="PREFECT_API_AUTH_STRING") as caught:
                        ask()
                    assert caught.value.code == "PREFECT_DENIED"
                    assert "another-one" not in str(caught.value)
        with temporary_settings(settings | {PREFECT_API_AUTH_STRING: WHO}), real.workers(domain_name):
            assert "run-connection/crm" in deploy([connection])
            with pytest.raises(CredentialsError, match="there is no Prefect block 'a-block'"):
                s3_access(named, S3Settings())
            state = import_profiles("crm", "", return_state=True)
            assert state is not None
            assert state.is_completed()
            seen = look_at_run(str(state.state_details.flow_run_id))
            assert (seen.ended, seen.percent) == (True, 100.0)
            send_what_waits()
