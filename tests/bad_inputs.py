"""Every bad input that a person may meet, and how it must end: files, rows, cells, objects that change, answers of S3 servers.

One table for each kind; the tests that play it are named there. Configurations are files of their own, each with the problems that it must have:
tests/unit/broken_configuration/. What a case must not do in any of them: stop others, lose a row without saying so, or fill the memory.
"""

from __future__ import annotations

import bz2
import gzip
import random
from dataclasses import dataclass, field

import pyarrow as pa

from tests.running import COLUMNS, csv_of

HEADER = ",".join(COLUMNS)
NOISE = random.Random(1).randbytes(200_000)
PACKED = gzip.compress(HEADER.encode() + b"\n" + random.Random(2).randbytes(90_000).hex().encode())


def _zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


LONG = HEADER.encode() + b"\n" + random.Random(3).randbytes(90_000).hex().encode() + b"\n"


@dataclass(frozen=True)
class BadFile:
    """A file that can't be read. Its import ends FAILED with `code`; the reason names the file and says `said`. `format`: of the goal, where it is another."""

    name: str
    data: bytes
    code: str
    said: str
    extension: str = "csv"
    format: dict[str, str] = field(default_factory=dict)


FILES = (
    BadFile("empty", b"", "EMPTY_FILE", "the file is empty"),
    BadFile("a byte order mark alone", b"\xef\xbb\xbf", "EMPTY_FILE", "the file is empty"),
    BadFile("empty lines alone", b"\n\r\n\n", "EMPTY_FILE", "the file is empty"),
    BadFile("a header named twice", f"{HEADER},name\n".encode(), "COLUMN_TWICE", "line 1: 2 columns are called 'name'"),
    BadFile("blank headers", b",,,,\n1,2,3,4,5\n", "COLUMN_MISSING", "line 1: there is no column 'id'"),
    BadFile("a column missing", b"id,name,tags,day\n", "COLUMN_MISSING", "no column 'total'; the columns are 'id', 'name', 'tags', 'day'"),
    BadFile("other capitals", HEADER.upper().encode() + b"\n", "COLUMN_MISSING", "names match exactly, capitals included"),
    BadFile("another separator", HEADER.replace(",", ";").encode() + b"\n", "COLUMN_MISSING", "check the separator"),
    BadFile("no header", b"1,Ana,2,x,2026-01-01\n", "COLUMN_MISSING", "line 1: there is no column 'id'"),
    BadFile("two byte order marks", f"\ufeff\ufeff{HEADER}\n".encode(), "COLUMN_MISSING", "there is no column 'id'"),
    BadFile("line ends of an old Mac", HEADER.encode() + b"\r1,a,,,\r2,b,,,\r", "BAD_HEADER", "line 1: the header can't be read. A carriage return"),
    BadFile("an unclosed quote in the header", f'"{HEADER}\n1,a,,,\n'.encode(), "BAD_HEADER", "line 1: the header can't be read. A quoted cell opens"),
    BadFile("a header too long", b"i" * 600_000 + b"\n1\n", "BAD_HEADER", "line 1: the header can't be read. The row is longer than 512 KiB"),
    BadFile("NUL in the header", HEADER.encode().replace(b"name", b"na\0me") + b"\n", "BAD_HEADER", "line 1: the header holds NUL bytes"),
    BadFile("UTF-16", HEADER.encode("utf-16"), "BAD_HEADER", "line 1, byte 0: the header is not text in the file's encoding"),
    BadFile("UTF-16 without a mark", HEADER.encode("utf-16-le"), "BAD_HEADER", "line 1: the header holds NUL bytes; is this UTF-16"),
    BadFile("UTF-32", HEADER.encode("utf-32"), "BAD_HEADER", "line 1, byte 0: the header is not text in the file's encoding"),
    BadFile("Latin-1", f"{HEADER},größe\n".encode("latin-1"), "BAD_HEADER", "the header is not text in the file's encoding"),
    BadFile("noise", NOISE, "BAD_HEADER", "line 1"),
    BadFile("a page of an error", b"<!DOCTYPE html>\n<html><body>503</body></html>\n", "COLUMN_MISSING", "line 1: there is no column 'id'"),
    BadFile("JSON", b'[{"id": 1}]\n', "COLUMN_MISSING", "line 1: there is no column 'id'"),
    BadFile("zip", b"PK\x03\x04" + bytes(100), "UNSUPPORTED_FORMAT", "a zip archive (or a spreadsheet, which is one)"),
    BadFile("an empty zip", b"PK\x05\x06" + bytes(18), "UNSUPPORTED_FORMAT", "an empty zip archive"),
    BadFile("7z", b"7z\xbc\xaf\x27\x1c" + bytes(100), "UNSUPPORTED_FORMAT", "a 7z archive"),
    BadFile("rar", b"Rar!\x1a\x07\x01\x00" + bytes(100), "UNSUPPORTED_FORMAT", "a rar archive"),
    BadFile("xz", b"\xfd7zXZ\x00" + bytes(100), "UNSUPPORTED_FORMAT", "compressed with xz"),
    BadFile("lz4", b"\x04\x22\x4d\x18" + bytes(100), "UNSUPPORTED_FORMAT", "compressed with lz4"),
    BadFile("bzip2", bz2.compress(HEADER.encode()), "UNSUPPORTED_FORMAT", "compressed with bzip2"),
    BadFile("truncated gzip", PACKED[:60_000], "TRUNCATED", ".csv.gz", "csv.gz"),
    BadFile("gzip with a wrong sum", gzip.compress(csv_of(("1", "Ana")))[:-6] + b"xxxxxx", "CORRUPT", ".csv.gz", "csv.gz"),
    BadFile("gzip of which a byte is missing", PACKED[:30_000] + PACKED[30_001:], "CORRUPT", ".csv.gz", "csv.gz"),
    BadFile("an empty file that is named gzip", b"", "TRUNCATED", ".csv.gz", "csv.gz"),
    BadFile("named gzip, and neither gzip nor text", b"\x00\x01\x02" * 50, "CORRUPT", "named as gzip", "csv.gz"),
    BadFile("truncated zstd", _zstd(LONG)[:40_000], "TRUNCATED", ".csv.zst", "csv.zst"),
    BadFile("a gzip of a zip", gzip.compress(b"PK\x03\x04" + bytes(100)), "BAD_HEADER", "line 1", "csv.gz"),
    BadFile("UTF-8 that is declared as UTF-16", HEADER.encode() + b"\n", "BAD_ENCODING", "line 1, byte 0: this is not utf-16", format={"encoding": "utf-16"}),
)  # fmt: skip
"""Played by tests/integration/test_bad_input.py: all of them in one run, with good files between them."""


@dataclass(frozen=True)
class BadRow:
    """A row among good ones: it alone is rejected, with its line and `code`. `%s` stands for a name of the test's own, `column` blank: the row as a whole."""

    name: str
    data: bytes
    code: str
    column: str = ""


ROWS = (
    BadRow("a quote inside a cell", b'%s-b,open "quote,1,,', ""),  # is text
    BadRow("an unclosed quote", b'%s-b,"unclosed,1,,', "BAD_QUOTE"),
    BadRow("text behind a quote", b'%s-b,"closed"too early,1,,', "BAD_QUOTE"),
    BadRow("NUL", b"%s-b,nul \0,1,,", "NUL_BYTE"),
    BadRow("another encoding", b"%s-b,latin \xe9,1,,", "BAD_ENCODING"),
    BadRow("an overlong slash", b"%s-b,\xc0\xaf,1,,", "BAD_ENCODING"),
    BadRow("half a surrogate pair", b"%s-b,\xed\xa0\x80,1,,", "BAD_ENCODING"),
    BadRow("a lone carriage return", b"%s-b,lone\rreturn,1,,", "BAD_LINE_END"),
    BadRow("too few columns", b"%s-b,few", "WRONG_COLUMN_COUNT"),
    BadRow("too many columns", b"%s-b,many,1,,,", "WRONG_COLUMN_COUNT"),
    BadRow("another separator", b"%s-b;semi;1;;", "WRONG_COLUMN_COUNT"),
    BadRow("no identifier", b",nobody,1,,", "NO_IDENTIFIER"),
    BadRow("an identifier of blanks", " \u2003 \t,nobody,1,,".encode(), "NO_IDENTIFIER"),
    BadRow("nothing but separators", b",,,,", "NO_IDENTIFIER"),
    BadRow("two identifiers in one cell", b"%s|%s,two,1,,", "INVALID_IDENTIFIER"),
    BadRow("a control character in the identifier", b"%s\x07,bell,1,,", "INVALID_IDENTIFIER"),
    BadRow("a day that is not in the calendar", b"%s-c,Ana,1,,2026-02-30", "NOT_A_DATE", "day"),
    BadRow("a number with an exponent", b"%s-d,Ana,12e3,,", "NOT_A_NUMBER", "total"),
    BadRow("longer than a row may be", b"%s-e," + b"x" * 600_000 + b",1,,", "ROW_TOO_LONG"),
    BadRow("a quote that is never closed", b'%s-f,"never closed,1,,', "UNCLOSED_QUOTE"),
)
"""Played by tests/integration/test_bad_input.py: one file, each between good rows; the last one's quote is open to the end of the file."""


@dataclass(frozen=True)
class BadCell:
    """A cell that can't be read for a property of the shop below; the rest of its row is imported."""

    column: str
    text: str
    code: str


CELL_DOMAIN = (
    {"name": "customer_id", "identifier": True},
    {"name": "phone", "identifier": True},
    {"name": "contact", "type": "email", "identifier": True},
    {"name": "name"},
    {"name": "total", "type": "number"},
    {"name": "level", "type": "number"},
    {"name": "scores", "type": "number", "multiple": True},
    {"name": "day", "type": "date"},
    {"name": "seen", "type": "datetime"},
    {"name": "mail", "type": "email"},
    {"name": "ok", "type": "boolean"},
)
CELL_FORMAT = {"multi_value": "|", "time_zone": "Europe/Amsterdam"}

CELLS = (
    *(BadCell("level", text, "NOT_A_NUMBER") for text in ("NaN", "-Infinity", "1e3", "1,000.00", "1 000", "€1", "0x10", "--1", "1.2.3", "٣", "½", "1-")),
    BadCell("level", "1" * 27, "NUMBER_OUT_OF_RANGE"),
    BadCell("level", "0." + "1" * 13, "NUMBER_OUT_OF_RANGE"),
    BadCell("total", "9" * 26, "SUM_OVERFLOW"),
    BadCell("scores", "1|two|3", "NOT_A_NUMBER"),
    *(BadCell("day", text, "NOT_A_DATE") for text in ("2026-02-30", "2026-13-01", "31/01/2026", "2026-01-31 10:00", "0000-01-01", "today", "46023")),
    *(BadCell("seen", text, "NOT_A_DATE_TIME") for text in ("2026-01-31", "2026-01-31 25:00:00", "2026-01-31T10:00:00", "2026-02-30 10:00:00")),
    BadCell("seen", "2026-03-29 02:30:00", "NONEXISTENT_LOCAL_TIME"),
    *(BadCell("mail", text, "NOT_AN_EMAIL") for text in ("ana@", "ana", "a@@example.com", "a b@example.com", "ana@exa mple.com")),
    *(BadCell("ok", text, "NOT_A_BOOLEAN") for text in ("maybe", "2", "on")),
    BadCell("level", "1|2", "SEVERAL_VALUES"),
    BadCell("name", "Ana|Bea", "SEVERAL_VALUES"),
    BadCell("contact", "not an address", "INVALID_IDENTIFIER"),
    BadCell("phone", "1|2", "INVALID_IDENTIFIER"),
    BadCell("phone", "taken", "IDENTIFIER_CONFLICT"),
)  # fmt: skip
"""Played by tests/integration/test_bad_cells.py: one file, a row for each."""


@dataclass(frozen=True)
class BadAnswer:
    """What an S3 server says to a request, and the error it must be."""

    name: str
    status: int
    server_code: str
    code: str
    says: str


ANSWERS = (
    BadAnswer("denied", 403, "AccessDenied", "ACCESS_DENIED", "s3:GetObject"),
    BadAnswer("an unknown key", 403, "InvalidAccessKeyId", "WRONG_CREDENTIALS", "Check access key id and secret"),
    BadAnswer("a wrong secret", 403, "SignatureDoesNotMatch", "WRONG_CREDENTIALS", "Check access key id and secret"),
    BadAnswer("an expired session", 400, "ExpiredToken", "WRONG_CREDENTIALS", "Renew"),
    BadAnswer("no such bucket", 404, "NoSuchBucket", "NO_SUCH_BUCKET", "Check the bucket's name"),
    BadAnswer("a clock that is wrong", 403, "RequestTimeTooSkewed", "CLOCK_SKEW", "clock"),
    BadAnswer("an archived object", 403, "InvalidObjectState", "ARCHIVED", "Restore it"),
    BadAnswer("a refusal that nobody knows", 400, "SomethingNew", "S3_REFUSED", "SomethingNew"),
)
"""Played by tests/contract/test_object_store_reading.py, beside connections that break, answers that end early, and servers that ignore what they are told."""

OBJECTS = ("replaced", "deleted", "shortened", "grown")
"""What happens to an object while it is imported; it must end SOURCE_CHANGED. Played by tests/integration/test_bad_input.py; with pins and versions,
where it must not matter, by test_statements.py."""

BIG = ("line", "quoted", "bomb", "bomb_of_one_line")
"""Files of a gigabyte, made as they are read. Played by tests/integration/test_big_input.py, each in a process whose memory is measured."""
