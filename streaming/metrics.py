"""Every metric of the merge workers, with its meaning. Served at /metrics for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

ROWS = Counter("headrace_rows", "rows committed, by outcome; and cells that were rejected", ["domain", "outcome"], registry=REGISTRY)
BATCHES = Counter(
    "headrace_batches",
    "commits, by what became of them: ok, applied, floor, closed, gap, token, schema; gap also without a commit",
    ["domain", "status"],
    registry=REGISTRY,
)
BATCH_SECONDS = Histogram("headrace_batch_seconds", "from taking a row batch up to its commit", ["domain"], registry=REGISTRY)
FAILURES = Counter("headrace_batch_failures", "attempts at a row batch that failed, by code", ["domain", "code"], registry=REGISTRY)
DEAD_LETTERS = Counter(
    "headrace_dead_letters", "messages given up and put into the dead-letter topic, by code", ["domain", "code"], registry=REGISTRY
)
PARTITIONS = Gauge("headrace_partitions", "partitions that this worker owns", ["domain"], registry=REGISTRY)
PAUSED = Gauge("headrace_paused_partitions", "owned partitions that wait for their next attempt", ["domain"], registry=REGISTRY)
NOT_DURABLE = Gauge("headrace_batches_not_durable", "batches committed whose offset waits for Redis' disk", ["domain"], registry=REGISTRY)
OUTBOX = Gauge(
    "headrace_outbox_messages", "messages between partitions whose receivers do not have them on disk yet", ["domain"], registry=REGISTRY
)
