"""The peer: what a Python team writes in an afternoon. csv.DictReader, batches of 1,000 rows, pipelined HMGET, the four rules, pipelined HSET.

No Kafka, no identifier look-up, no fence, no rejects: it may lose or double rows when it is killed. `python -m benchmarks.peer FILE REDIS_URL`.
"""

from __future__ import annotations

import csv
import sys
import time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import redis

RULES = {
    "email": "set",
    "name": "set",
    "country": "set_if_empty",
    "city": "set_if_empty",
    "birth_date": "set_if_empty",
    "last_purchase": "set",
    "amount": "sum",
    "interests": "add",
    "tier": "set",
    "points": "sum",
}
FIELDS = list(RULES)


def merge(old: list[str | None], row: dict[str, str]) -> dict[str, str]:
    changed = {}
    for field, before in zip(FIELDS, old, strict=True):
        new, rule = row[field], RULES[field]
        if not new or (rule == "set_if_empty" and before):
            continue
        if rule == "sum":
            new = str(Decimal(before or 0) + Decimal(new.replace(",", ".")))
        elif rule == "add" and before:
            new = "|".join(dict.fromkeys(before.split("|") + new.split("|")))
        if new != before:
            changed[field] = new
    return changed


def run(source: Path, redis_url: str) -> float:
    """Rows a second."""
    store: Any = redis.Redis.from_url(redis_url, decode_responses=True)
    started, count = time.perf_counter(), 0
    with source.open(encoding="utf-8", newline="") as cells:
        reader = csv.DictReader(cells, delimiter=";")
        while batch := list(islice(reader, 1000)):
            reads = store.pipeline(transaction=False)
            for row in batch:
                reads.hmget("p:" + row["customer_id"], FIELDS)
            writes = store.pipeline(transaction=False)
            for row, old in zip(batch, reads.execute(), strict=True):
                if changed := merge(old, row):
                    writes.hset("p:" + row["customer_id"], mapping=changed)
            writes.execute()
            count += len(batch)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.stdout.write(f"{run(Path(sys.argv[1]), sys.argv[2]):.0f}\n")
