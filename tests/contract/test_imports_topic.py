"""The imports of a domain as Kafka remembers them, on both brokers (SPEC R5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined] # exported, though not by name

from headrace.errors import TransientError
from headrace.settings import KafkaSettings
from streaming.imports_topic import KnownImport, last_registration, read_imports, write_imports
from streaming.kafka import client_config, imports_topic
from streaming.topics import domains_with_imports_topic, make_topics, partitions_of
from tests.golden.examples import IMPORT, SCHEMA_CHANGE


@pytest.fixture
def settings(kafka_bootstrap_servers: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_bootstrap_servers)


@pytest.mark.spec("R5")
def test_what_is_written_is_read_by_number_the_last_of_each(settings: KafkaSettings, domain_name: str) -> None:
    assert last_registration(settings, domain_name) is None, "there is no topic yet"
    assert domain_name not in domains_with_imports_topic(settings)
    make_topics(settings, domain_name, 4)
    make_topics(settings, domain_name, 4)
    assert partitions_of(settings, imports_topic(settings, domain_name)) == 1
    assert domain_name in domains_with_imports_topic(settings)
    assert last_registration(settings, domain_name) is None
    assert read_imports(settings, domain_name) == {}
    first, second = replace(IMPORT, domain=domain_name, import_seq=1), replace(SCHEMA_CHANGE, domain=domain_name, import_seq=2)
    write_imports(settings, [KnownImport(first), KnownImport(second)])
    assert last_registration(settings, domain_name) == second
    again = replace(first, run_id="again")
    write_imports(settings, [KnownImport(again)])
    assert last_registration(settings, domain_name) == second, "a driver that woke late wrote behind it"
    second_again = replace(second, run_id="again")
    write_imports(settings, [KnownImport(second_again)])
    assert last_registration(settings, domain_name) == second_again
    assert read_imports(settings, domain_name) == {1: KnownImport(again), 2: KnownImport(second_again)}


@pytest.mark.spec("R5")
def test_how_an_import_ended_is_known_whoever_writes_behind_it(settings: KafkaSettings, domain_name: str) -> None:
    make_topics(settings, domain_name, 4)
    first, second = (replace(IMPORT, domain=domain_name, import_seq=number) for number in (1, 2))
    write_imports(settings, [KnownImport(first), KnownImport(first, "COMPLETE"), KnownImport(second), KnownImport(second, "FAILED")])
    write_imports(settings, [KnownImport(first)])
    assert read_imports(settings, domain_name) == {1: KnownImport(first, "COMPLETE"), 2: KnownImport(second, "FAILED")}
    assert last_registration(settings, domain_name) == second
    write_imports(settings, [KnownImport(second, "COMPLETE")])
    assert read_imports(settings, domain_name)[2].end == "COMPLETE", "it was driven again, and came to another end"
    other = replace(second, token="f" * 32)
    write_imports(settings, [KnownImport(other)])
    assert read_imports(settings, domain_name)[2] == KnownImport(other), "other work under the same number has not ended"


@pytest.mark.spec("R5")
def test_it_is_compacted_so_that_nothing_of_it_expires(apache_kafka: str, domain_name: str) -> None:
    settings = KafkaSettings(bootstrap_servers=apache_kafka)
    make_topics(settings, domain_name, 2)
    resource = ConfigResource(ResourceType.TOPIC, imports_topic(settings, domain_name))
    admin = AdminClient(client_config(settings))
    assert admin.describe_configs([resource])[resource].result(20)["cleanup.policy"].value == "compact"


def test_a_group_domain_has_a_topic_of_its_own(settings: KafkaSettings, domain_name: str) -> None:
    """`~` is not for Kafka."""
    make_topics(settings, f"{domain_name}~household", 2)
    assert {name for name in domains_with_imports_topic(settings) if name.startswith(domain_name)} == {f"{domain_name}~household"}


def test_a_topic_that_is_not_there_takes_nothing(apache_kafka: str, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded broker would make it."""
    settings = KafkaSettings(bootstrap_servers=apache_kafka)
    monkeypatch.setattr("streaming.imports_topic._SECONDS", 2.0)
    with pytest.raises(TransientError, match="KAFKA_UNAVAILABLE"):
        write_imports(settings, [KnownImport(replace(IMPORT, domain=domain_name, import_seq=1))])
