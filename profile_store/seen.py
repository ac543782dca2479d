"""Which profiles of a partition a connection has imported: a bit for each profile's number (SPEC R3, docs/adr/0017).

They are written by the commit alone, so the partition's token, which the commit compares, says whether they are still what Redis has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from profile_store import keys
from profile_store.bitmaps import NEAR, Bitmap, Span
from profile_store.store import Store, text

__all__ = ["NEAR", "SeenProfiles", "Span", "read_seen"]


_NONE = np.zeros(0, np.uint8)


class SeenProfiles:
    """`bits`: as Redis has them."""

    def __init__(self, connection: str, bits: npt.NDArray[np.uint8] = _NONE) -> None:
        self.connection = connection
        self._bitmap = Bitmap("", bits)

    @property
    def bits(self) -> npt.NDArray[np.uint8]:
        return self._bitmap.bits

    def spans_with(self, numbers: npt.NDArray[np.int64]) -> tuple[Span, ...]:
        """What to write so that these profiles are among them; nothing where they are. Changes nothing here: see `write`."""
        each = np.unique(numbers)
        return self._bitmap.spans_putting(each, np.ones(len(each), bool))

    def write(self, spans: tuple[Span, ...]) -> None:
        """They are in Redis now."""
        self._bitmap.write(spans)


def read_seen(store: Store, domain: str, partition: int, connection: str) -> tuple[str, SeenProfiles]:
    """As Redis has them now, and the partition's token at that moment."""
    token, bits = store.run_script("read_seen", [keys.meta(domain, partition), keys.seen(domain, partition, connection)], [])
    return text(token), SeenProfiles(connection, np.frombuffer(bits, np.uint8).copy())
