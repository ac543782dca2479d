"""A worker that commits a few batches at a time and tells its neighbours a few things at a time: what thousands of rows take in production, a schedule's
few rows take here."""

from __future__ import annotations

from streaming.merge import changes
from streaming.worker import __main__ as worker
from streaming.worker import owned

TERSE = "tests.faults.terse_worker"
BATCHES, CLAIMS, ROW_BYTES = 3, 2, 300


def main(domains: tuple[str, ...]) -> int:
    owned.GROUP_MESSAGES = BATCHES
    changes.CLAIMS, changes.ROW_BYTES = CLAIMS, ROW_BYTES
    return worker.main(domains)
