"""What a dry run would have written, in a temporary file: it lies over the real store, and is gone with the dry run (SPEC B3)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from headrace.errors import TerminalError

Below = Callable[[int, list[bytes]], list[bytes | None]]
"""(partition, addresses) → what lies there for real. Only ever read."""

CACHE_KIB = 32 * 1024
"""Of the file, in memory."""
ASKED_AT_ONCE = 500


class Overlay:
    """Address → what would lie there. Not for several threads."""

    def __init__(self, below: Below) -> None:
        self._below = below
        # The empty name is a file that SQLite makes in the directory for temporary files, and nobody else can open.
        self._file = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute("CREATE TABLE written (address BLOB PRIMARY KEY, blob BLOB NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID")

    def close(self) -> None:
        self._file.close()

    def read(self, partition: int, addresses: list[bytes]) -> list[bytes | None]:
        """What lies at these addresses of one partition, in order: what was written here, else what is below."""
        written: dict[bytes, bytes] = {}
        for start in range(0, len(addresses), ASKED_AT_ONCE):
            written |= self._written(addresses[start : start + ASKED_AT_ONCE])
        others = [address for address in addresses if address not in written]
        below = dict(zip(others, self._below(partition, others), strict=True))
        return [written.get(address, below.get(address)) for address in addresses]

    def _written(self, addresses: list[bytes]) -> dict[bytes, bytes]:
        places = ",".join("?" * len(addresses))
        return dict(self._file.execute(f"SELECT address, blob FROM written WHERE address IN ({places})", addresses))  # noqa: S608

    def write(self, entries: Iterable[tuple[bytes, bytes]], created: frozenset[bytes] = frozenset()) -> None:
        """`created`: the addresses where a profile is made that is not below. Raises TerminalError where there is no room."""
        rows = [(address, blob, address in created) for address, blob in entries]
        try:
            self._insert(rows)
        except sqlite3.Error as error:
            raise TerminalError(
                f"The temporary file of the dry run can't be written ({error}).",
                code="TEMPORARY_FILE",
                hint="It takes about as much room as the profiles that change; TMPDIR says in which directory.",
            ) from None

    def _insert(self, rows: list[tuple[bytes, bytes, bool]]) -> None:
        self._file.execute("BEGIN")
        self._file.executemany("INSERT INTO written VALUES (?, ?, ?) ON CONFLICT (address) DO UPDATE SET blob = excluded.blob", rows)
        self._file.execute("COMMIT")

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """(address, blob) of everything that was written."""
        with closing(self._file.execute("SELECT address, blob FROM written ORDER BY address")) as found:
            yield from found

    def count(self) -> tuple[int, int]:
        """How many profiles are new, and how many of those below are changed."""
        found = dict(self._file.execute("SELECT created, count(*) FROM written WHERE substr(blob, 1, 1) = X'52' GROUP BY created"))
        return found.get(1, 0), found.get(0, 0)

    def created(self) -> Iterator[tuple[bytes, bytes]]:
        """(address, record) of the profiles that are new, by address: as good as drawn by lot, and the same each time."""
        return self._records(created=1)

    def changed(self) -> Iterator[tuple[bytes, bytes]]:
        """(address, record) of the profiles that are below too, by address."""
        return self._records(created=0)

    def _records(self, created: int) -> Iterator[tuple[bytes, bytes]]:
        wanted = "SELECT address, blob FROM written WHERE created = ? AND substr(blob, 1, 1) = X'52' ORDER BY address"
        with closing(self._file.execute(wanted, (created,))) as found:
            yield from found
