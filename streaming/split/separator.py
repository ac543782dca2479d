"""The field separator, any single character (SPEC I6), as the one byte that rows are cut at.

An ASCII separator is its byte. Another one trades places with a control character in the whole text: where the file has the separator,
the cutter and Arrow's reader see the control character, and the other way round. So nothing is lost and nothing needs to be escaped:
trading again gives the file's bytes back, whatever they are (a character's first byte is no part of another, so matches can't overlap).
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

STAND_IN = "\x1d"
"""Unicode's group separator: about the rarest character there is, and it has no meaning in CSV."""


class Separator:
    """`byte`: what to cut at, in text that `trading` gives; `character`: as it stands in the file."""

    def __init__(self, character: str) -> None:
        self.character = character
        self.is_plain = character.isascii()
        self._bytes = character.encode()
        self.byte = self._bytes if self.is_plain else STAND_IN.encode()

    def traded(self, data: bytes) -> bytes:
        """`data` with the two in each other's place; of a whole text or row."""
        if self.is_plain:
            return data
        return self._bytes.join(part.replace(self._bytes, self.byte) for part in data.split(self.byte))

    def trading(self, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """A `read` whose bytes are traded; a separator may lie across two reads."""
        held = b""

        def traded(size: int) -> bytes:
            nonlocal held
            while chunk := read(size):
                data = held + chunk
                cut = len(data) - self._begun(data)
                held = data[cut:]
                if cut:
                    return self.traded(data[:cut])
            data, held = held, b""
            return data

        return traded

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a separator."""
        return next((length for length in range(len(self._bytes) - 1, 0, -1) if data.endswith(self._bytes[:length])), 0)

    def cells(self, cells: pa.StringArray) -> pa.StringArray:
        """Cells that were read from traded text, as they stand in the file."""
        if self.is_plain or not (self._any(cells, STAND_IN) or self._any(cells, self.character)):
            return cells
        table = str.maketrans({STAND_IN: self.character, self.character: STAND_IN})
        return pa.array([text.translate(table) for text in cells.to_pylist()], pa.string())

    def _any(self, cells: pa.StringArray, text: str) -> bool:
        return bool(pc.any(pc.match_substring(cells, text)).as_py())
