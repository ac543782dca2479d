"""Where every partition stands: for the report of a schedule in which nothing goes on."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.errors import HeadraceError
from profile_store import keys, sequence
from profile_store.store import text
from streaming.kafka import consumer_config, rows_topic
from tests.faults.world import Stage


def standing(stage: Stage) -> list[str]:
    """A line for each partition: what Redis holds, what the group has committed, what the topic holds. Whatever does not answer is left out."""
    kafka, domain = stage.real.settings.kafka, stage.domain
    topic, lines = rows_topic(kafka, domain), []
    asking = Consumer(consumer_config(kafka, domain))
    try:
        lines.append(f"import {sequence.domain_floor(stage.real.store, domain) + 1} is under way")
        for partition in range(stage.schedule.partitions):
            place = TopicPartition(topic, partition)
            [committed] = asking.committed([place], timeout=5)
            first, last = asking.get_watermark_offsets(place, timeout=5)
            node = stage.real.store.node_of(keys.meta(domain, partition))
            fence = {text(name): text(value) for name, value in node.hgetall(keys.fence(domain, partition)).items()}
            meta = {text(name): text(value) for name, value in node.hgetall(keys.meta(domain, partition)).items()}
            lines.append(f"partition {partition}: committed {committed.offset} of {first}–{last}, fence {fence}, meta {meta}")
    except (KafkaException, HeadraceError) as error:
        lines.append(f"the rest does not answer: {error}")
    finally:
        asking.close()
    return lines
