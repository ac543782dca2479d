"""An offset that Kafka did not take (a commit that fell into a rebalance) is committed again, without a further message to follow it."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from streaming.worker import row_reader
from tests.contract.worker_streams import open_stream
from tests.pipeline import access_to, pipeline


@pytest.mark.spec("B1")
def test_a_commit_that_kafka_refuses_is_tried_again(
    valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = list[int]()

    class Refusing:
        """The real consumer; its first three asynchronous commits end as those do that fall into a rebalance."""

        def __init__(self, config: dict[str, Any]) -> None:
            self._told = config["on_commit"]
            self._real: Any = Consumer(config)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def commit(self, offsets: list[Any], asynchronous: bool) -> Any:
            if asynchronous and len(refused) < 3:
                refused.append(len(offsets))
                return self._told(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), offsets)
            if not asynchronous and len(refused) < 3:
                raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
            return self._real.commit(offsets=offsets, asynchronous=asynchronous)

    monkeypatch.setattr(row_reader, "Consumer", Refusing)
    real = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    stream = open_stream(real, domain_name, 400)
    stream.publish(stream.batches)
    with stream.real.workers(stream.domain):
        stream.await_all()
        stream.await_committed(stream.totals.batches)
    assert len(refused) == 3
