"""The record: how a profile lies in Redis, and how thousands of them become columns and back (DESIGN §3).

A value in Redis is one line of text in fields, so that Arrow's CSV reader turns a whole batch into columns at 0.3 µs a row (docs/adr/0006):

    R1 US number US other addresses US expires US undecided US property 0 US property 1 …

- `R` record, `P` pointer, `S` suppression; `1` the format number. A newer one is refused.
- number: the profile's number in its partition (bitmaps are indexed by it). It is the one field that another partitioning would write anew.
- other addresses (identifiers bound besides the one it lies at), expires (epoch seconds), undecided (claims under way): blank until they are
  used.
- A property's place is its id in the domain's schema. Fewer fields than the schema has: the rest have no value.
- A field with several values joins them by RS. Blank is no value: there is no empty value.
- US, RS, FS, LF and CR inside values are escaped by FS; `stored` and `plain` convert.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from headrace.errors import UnsupportedFormatError

RECORD_FORMAT = 1
TAG = "R1"
FIELD = "\x1f"
ITEM = "\x1e"
ESCAPE = "\x1c"
_ESCAPES = {ESCAPE: "0", ITEM: "1", FIELD: "2", "\n": "3", "\r": "4"}
_SPECIAL = re.compile("[\x1c\x1e\x1f\n\r]")
_ESCAPED = re.compile("\x1c([0-4])")
_PLAIN = {code: character for character, code in _ESCAPES.items()}
LEADING = ("tag", "number", "addresses", "expires", "undecided")
"""The fields before the properties."""


def stored(value: str | tuple[str, ...]) -> str:
    """A value as it lies in a record."""
    if isinstance(value, tuple):
        return ITEM.join(_SPECIAL.sub(lambda m: ESCAPE + _ESCAPES[m[0]], item) for item in value)
    return _SPECIAL.sub(lambda m: ESCAPE + _ESCAPES[m[0]], value)


def _plain_text(text: str) -> str:
    return _ESCAPED.sub(lambda m: _PLAIN[m[1]], text)


def stored_column(values: pa.StringArray) -> pa.StringArray:
    """`stored` for a whole column of single values."""
    if not has_control_characters(values):
        return values
    for character in (ESCAPE, ITEM, FIELD, "\n", "\r"):
        values = pc.replace_substring(values, character, ESCAPE + _ESCAPES[character])
    return values


def has_control_characters(values: pa.StringArray) -> bool:
    """Whether any text of a column holds a character below the blank. One pass over the bytes."""
    buffer = values.buffers()[2]
    if buffer is None or len(values) == 0:
        return False
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32, count=len(values) + 1, offset=4 * values.offset)
    data = np.frombuffer(buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return bool((data < 0x20).any())


@dataclass(frozen=True, slots=True)
class Record:
    """One profile, read. `values`: property id → value."""

    number: int
    addresses: tuple[str, ...]
    expires: int | None
    values: dict[int, str | tuple[str, ...]]


def refuse_unknown(tag: bytes) -> None:
    """Raise UnsupportedFormatError: this release reads records of format 1 alone."""
    raise UnsupportedFormatError(
        f"A profile is stored as {tag[:2]!r}; this release reads {TAG}.",
        hint="A newer Headrace wrote it: upgrade this worker. Nothing was changed.",
    )


def decode_record(blob: bytes, multiple: frozenset[int]) -> Record:
    """One record; `multiple`: the ids of the properties that hold lists. Raises UnsupportedFormatError."""
    if blob[:3] != (TAG + FIELD).encode():
        refuse_unknown(blob)
    fields = blob.decode().split(FIELD)
    fields += [""] * (len(LEADING) - len(fields))  # blank ones at the end are not stored
    values: dict[int, str | tuple[str, ...]] = {}
    for identity, field in enumerate(fields[len(LEADING) :]):
        if field:
            values[identity] = tuple(map(_plain_text, field.split(ITEM))) if identity in multiple else _plain_text(field)
    return Record(int(fields[1]), tuple(filter(None, fields[2].split(ITEM))), int(fields[3]) if fields[3] else None, values)


def decode_records(blobs: list[bytes | None], width: int) -> dict[str, Any]:
    """The columns of a batch of records, as many rows as `blobs`; an absent one is null in every column.

    Gives `number` (string), `addresses`, `expires`, `undecided`, and `"0"` … `str(width - 1)` in stored form: pa.StringArray each. `width` is
    the schema's number of property ids; wider records (a newer schema) are refused like a newer format.
    """
    names = [*LEADING, *map(str, range(width))]
    lines = [blob for blob in blobs if blob is not None]
    if not lines:
        return {name: pa.nulls(len(blobs), pa.string()) for name in names}
    text = pa.array(lines, pa.binary())
    separators = pc.count_substring(text, FIELD)
    missing = pc.subtract(pa.scalar(len(names) - 1, separators.type), separators)
    shortest = pc.min_max(missing).as_py()
    if shortest["min"] < 0:
        raise UnsupportedFormatError("A profile has more properties than the schema of this import.", hint="A newer schema wrote it.")
    if shortest["max"] > 0:
        pads = pa.array([FIELD.encode() * n for n in range(shortest["max"] + 1)], pa.binary())
        lines = pc.binary_join_element_wise(text, pads.take(missing), b"").to_pylist()
    table = pyarrow.csv.read_csv(
        pa.py_buffer(b"\n".join(lines) + b"\n"),
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False, column_names=names, block_size=max(1 << 20, sum(map(len, lines)) + len(lines) + 1)
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=FIELD, quote_char=False, double_quote=False, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""], check_utf8=False
        ),
    ).combine_chunks()
    columns = {name: table.column(name).chunk(0) for name in names}
    tags = columns["tag"].unique().to_pylist()
    for tag in tags:
        if tag != TAG:
            refuse_unknown((tag or "").encode())
    if len(lines) == len(blobs):
        return columns
    present = np.fromiter((blob is not None for blob in blobs), bool, len(blobs))
    places = np.where(present, np.cumsum(present) - 1, 0)
    indices = pa.array(places, mask=~present)
    return {name: column.take(indices) for name, column in columns.items()}


def encode_records(columns: dict[str, Any], width: int) -> list[bytes]:
    """The records of all rows of `columns` (as `decode_records` gives them; `tag` is not needed)."""
    rows = len(columns["number"])
    fields = [pa.array([TAG]).take(pa.array(np.zeros(rows, np.int32)))]
    fields += [columns[name] for name in (*LEADING[1:], *map(str, range(width)))]
    lines = pc.binary_join_element_wise(*fields, FIELD, null_handling="replace", null_replacement="")
    return pc.utf8_rtrim(lines, FIELD).cast(pa.binary()).to_pylist()  # type: ignore[no-any-return]
