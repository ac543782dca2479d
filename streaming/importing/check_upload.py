"""An uploaded file, looked through before anything of it is applied: its header, its encoding, how many records it has (SPEC U8–U10)."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable

from headrace.configuration_model import shown
from headrace.errors import TerminalError
from streaming.split.encoding import Read, Text
from streaming.split.row_text import cells_of
from streaming.split.rows import Block, RowReader
from streaming.split.separator import Separator
from streaming.split.table import HeaderError, first_row

SEPARATOR = ","


class InvalidUploadError(TerminalError):
    """The job fails with VALIDATION_FAILURE. `column`: that it is about, empty for the file as a whole."""

    code = "INVALID_UPLOAD"

    def __init__(self, message: str, code: str, column: str = "") -> None:
        super().__init__(message, code=code)
        self.column = column


def check_upload(read: Read, sources: Iterable[str], most_records: int, name: str) -> int:
    """How many records a file has that can be imported. `read(n)`: its bytes; `sources`: columns that it must have; `name`: how errors call it.

    Raises InvalidUploadError, and whatever `read` raises.
    """
    separator = Separator(SEPARATOR)
    records, header = 0, False
    for found in RowReader(Text(_checked(read), "utf-8", separator, name).read, separator.byte).blocks():
        block = found
        if not header:
            if not found.rows and not found.bad:
                continue
            block = _behind_header(found, sources, name)
            header = True
        records += block.rows + len(block.bad)
        if records > most_records:
            raise InvalidUploadError(
                f"The file has more than {most_records:,} records: upload it in parts, a job for each.", "TOO_MANY_RECORDS"
            )
    if not header:
        raise InvalidUploadError("The file is empty: its first line must name the columns.", "EMPTY_FILE")
    return records


def _checked(read: Read) -> Read:
    """Raises where the bytes are not UTF-8, so that nothing of such a file is applied."""
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0

    def checked(size: int) -> bytes:
        nonlocal done
        data = read(size)
        begun = len(decoder.getstate()[0])
        try:
            decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InvalidUploadError(f"The file is not UTF-8, from byte {done - begun + error.start} on.", "BAD_ENCODING") from None
        done += len(data)
        return data

    return checked


def _behind_header(block: Block, sources: Iterable[str], name: str) -> Block:
    """The first block without its first row, which has to name the columns."""
    try:
        first, rest = first_row(block, name)
    except HeaderError as error:
        raise InvalidUploadError(error.message, error.code) from None
    counts = Counter(cells_of(first.decode(), SEPARATOR))
    for source in sources:
        if counts[source] == 0:
            raise InvalidUploadError(f"Source field '{shown(source)}' not found in CSV headers", "COLUMN_MISSING", source)
        if counts[source] > 1:
            raise InvalidUploadError(f"Source field '{shown(source)}' found {counts[source]} times in CSV headers", "COLUMN_TWICE", source)
    return rest
