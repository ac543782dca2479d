"""`python -m tests.big_input KIND`: split a file of a gigabyte that is made as it is read, and say what came of it and what it took."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from object_store.compression import decompressed
from streaming.split.splitter import Splitter
from tests.splitting import plan_for

MEGABYTE = 1 << 20
HEAD, TAIL = b"id,text\nfirst,a\n", b"\nlast,z\n"


class Repeated(io.RawIOBase):
    """`head`, then `count` times `piece`, then `tail`: it never lies in memory as a whole."""

    def __init__(self, head: bytes, piece: bytes, count: int, tail: bytes) -> None:
        super().__init__()
        self._waiting, self._piece, self._left, self._tail = head, piece, count, tail

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._waiting:
            if self._left:
                self._left, self._waiting = self._left - 1, self._piece
            else:
                self._waiting, self._tail = self._tail, b""
        size = min(len(buffer), len(self._waiting))
        buffer[:size], self._waiting = self._waiting[:size], self._waiting[size:]
        return size


def _packed(piece: bytes, count: int) -> io.RawIOBase:
    """A gzip file of some megabytes that is `count` times `piece`."""
    return decompressed(Repeated(gzip.compress(HEAD), gzip.compress(piece, 9), count, gzip.compress(TAIL)), "s3://b/bomb.csv.gz")


KINDS: dict[str, Callable[[], io.RawIOBase]] = {
    "line": lambda: Repeated(HEAD, b"x" * MEGABYTE, 1024, TAIL),
    "quoted": lambda: Repeated(HEAD + b'A,"', b"x" * MEGABYTE, 1024, b'"' + TAIL),
    "bomb": lambda: _packed((b"A,x" + b" " * 997 + b"\n") * 10_000, 107),
    "bomb_of_one_line": lambda: _packed(b"x" * (10 * MEGABYTE), 103),
}


def _peak_kilobytes() -> int:
    """Not ru_maxrss: a process inherits that of the one that started it."""
    return int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0])


def main(kind: str) -> None:
    stream = KINDS[kind]()
    splitter = Splitter(lambda size: stream.read(size) or b"", plan_for(partitions=4), f"{kind}.csv")
    started = _peak_kilobytes()
    for _ in splitter.batches():
        pass
    totals, peak = splitter.totals, _peak_kilobytes()
    stream = KINDS[kind]()
    again = Splitter(lambda size: stream.read(size) or b"", plan_for(partitions=4), f"{kind}.csv")
    codes = [[reject.line, reject.reason.value] for reject, _ in again.rejected(iter(()))]
    found = {
        "rows": totals.rows,
        "rejected": totals.rejected,
        "codes": codes,
        "peak_mb": peak // 1024,
        "grown_mb": (peak - started) // 1024,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
