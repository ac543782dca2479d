"""All partitions of an export, in their order, read and formatted some ahead of the one that is written: Redis answers, Arrow formats and S3 takes a
part at the same time. What is held does not grow with the profiles.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import IO

from headrace.errors import UnsupportedFormatError
from profile_store import registry
from profile_store.store import Store
from streaming.exporting.partition import ExportedPartition, export_partition
from streaming.exporting.plan import ExportPlan
from streaming.exporting.progress import LOOK_SECONDS, ExportProgress

THREADS = 3
"""Partitions that are read and formatted at once: while one waits for Redis, Arrow has the others. More of them wait for each other, and hold more."""
AHEAD = 6
"""With those that are done and wait, and the one that is written."""
SPOOL_BYTES = 512 << 10
"""Of a partition's lines that are held in memory; more go to a temporary file."""


def export_partitions(store: Store, plan: ExportPlan, progress: ExportProgress) -> Generator[tuple[ExportedPartition, IO[bytes]]]:
    """Each with its lines, which are there until the next is asked for. To be closed where it is left early. Raises as `export_partition`."""
    exporter = _Exporter(store, plan, progress)
    with ExitStack() as stack:
        spools: list[IO[bytes]] = [stack.enter_context(tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)) for _ in range(AHEAD)]
        threads = stack.enter_context(ThreadPoolExecutor(THREADS, "export"))
        begun = [
            threads.submit(exporter.export, partition, spool) for partition, spool in zip(range(plan.partitions), spools, strict=False)
        ]
        for partition in range(plan.partitions):
            found, spool = _awaited(begun[partition], progress), spools[partition % AHEAD]
            spool.seek(0)
            yield found, spool
            if partition + AHEAD < plan.partitions:
                begun.append(threads.submit(exporter.export, partition + AHEAD, spool))


def _awaited(partition: Future[ExportedPartition], progress: ExportProgress) -> ExportedPartition:
    while not wait([partition], LOOK_SECONDS).done:
        progress.tell()
    return partition.result()


class _Exporter:
    """Of single partitions, from several threads."""

    def __init__(self, store: Store, plan: ExportPlan, progress: ExportProgress) -> None:
        self._store = store
        self._plan = plan
        self._progress = progress

    def export(self, partition: int, spool: IO[bytes]) -> ExportedPartition:
        plan, seen = self._plan, partial(self._progress.read, partition)
        try:
            return export_partition(self._store, plan, partition, spool, seen)
        except UnsupportedFormatError:
            # Properties that were added since the plan was made make records wider; the partitions behind have them, too.
            width = len(registry.get_domain(self._store, plan.domain).schema.properties)
            if width == plan.width:
                raise
            self._plan = replace(plan, width=width)
            return export_partition(self._store, self._plan, partition, spool, seen)
