"""The record: how a profile lies in Redis, and how thousands of them become columns and back (DESIGN §3).

A value in Redis is one line of text in fields, so that Arrow's CSV reader turns a whole batch into columns at 0.3 µs a row (docs/adr/0006):

    R1 US number US other addresses US expires US undecided US property 0 US property 1 …

- `R` record, `P` pointer, `S` suppression; `1` the format number. A newer one is refused.
- number: the profile's number in its partition (bitmaps are indexed by it). It is the one field that another partitioning would write anew.
- other addresses (bound, and of no present value), expires (epoch seconds), undecided (`streaming.merge.undecided`): mostly blank.
- A pointer is `P1` and the 16 bytes of the profile identifier it leads to; a suppression is `S1` alone.
- other addresses: base64url without padding, 22 characters each, joined by RS. Own address and present values of identifiers are not listed.
- A property's place is its id in the domain's schema. Fewer fields than the schema has: the rest have no value.
- A field with several values joins them by RS. Blank is no value: there is no empty value.
- US, RS, FS, LF and CR inside values are escaped by FS; `stored` and `plain` convert.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from headrace.errors import UnsupportedFormatError

RECORD_FORMAT = 1
TAG = "R1"
POINTER = b"P1"
SUPPRESSION = b"S1"
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


def plain(text: str, *, multiple: bool) -> str | tuple[str, ...]:
    """The value of which `stored` made the text: a tuple for a list."""
    return tuple(map(_plain_text, text.split(ITEM))) if multiple else _plain_text(text)


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


def pointer_to(profile_identifier: bytes) -> bytes:
    """What lies at another address of a profile."""
    return POINTER + profile_identifier


def pointed_at(blob: bytes) -> bytes | None:
    """The profile identifier that a pointer holds; None where `blob` is none. Raises UnsupportedFormatError for a newer one."""
    if blob[:1] != b"P":
        return None
    if blob[:2] != POINTER or len(blob) != 18:
        refuse_unknown(blob)
    return blob[2:]


def packed_addresses(addresses: Iterable[bytes]) -> str:
    """Addresses as the field of a record, in a fixed order."""
    return ITEM.join(urlsafe_b64encode(one).rstrip(b"=").decode() for one in sorted(addresses))


def unpacked_addresses(field: str) -> tuple[bytes, ...]:
    return tuple(urlsafe_b64decode(one + "==") for one in field.split(ITEM) if one)


@dataclass(frozen=True, slots=True)
class Record:
    """One profile, read. `values`: property id → value."""

    number: int
    addresses: tuple[bytes, ...]
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
            values[identity] = plain(field, multiple=identity in multiple)
    return Record(int(fields[1]), unpacked_addresses(fields[2]), int(fields[3]) if fields[3] else None, values)


def decode_records(blobs: Sequence[bytes | None], width: int, wanted: Collection[str] | None = None) -> dict[str, Any]:
    """The columns of a batch of records, as many rows as `blobs`; an absent one is null in every column.

    Gives `number` (string), `addresses`, `expires`, `undecided`, and `"0"` … `str(width - 1)` in stored form: pa.StringArray each, or those of them that
    are `wanted`. `width` is the schema's number of property ids; wider records (a newer schema) are refused like a newer format.
    """
    names = [*LEADING, *map(str, range(width))]
    used = names if wanted is None else [name for name in names if name == "tag" or name in wanted]
    records = pa.array(blobs, pa.binary())
    if records.null_count == len(blobs):
        return {name: pa.nulls(len(blobs), pa.string()) for name in used}
    table = _read_lines(_padded(records.drop_null() if records.null_count else records, len(names) - 1), names, used)
    columns = {name: table.column(name).chunk(0) for name in used}
    tags = columns["tag"].unique().to_pylist()
    for tag in tags:
        if tag != TAG:
            refuse_unknown((tag or "").encode())
    if not records.null_count:
        return columns
    present = records.is_valid().to_numpy(zero_copy_only=False)
    places = np.where(present, np.cumsum(present) - 1, 0)
    indices = pa.array(places, mask=~present)
    return {name: column.take(indices) for name, column in columns.items()}


def _read_lines(rows: pa.Buffer, names: Sequence[str], used: Sequence[str]) -> pa.Table:
    """Those that are used, each in one chunk."""
    return pyarrow.csv.read_csv(
        rows,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=max(1 << 20, rows.size)),
        parse_options=pyarrow.csv.ParseOptions(delimiter=FIELD, quote_char=False, double_quote=False, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=used,
            strings_can_be_null=True,
            null_values=[""],
            check_utf8=False,
        ),
    ).combine_chunks()


def _padded(records: pa.BinaryArray, separators: int) -> pa.Buffer:
    """The records as lines, each with so many separators: blank fields at the end are not stored."""
    missing = separators - _count(records, FIELD.encode())
    if missing.min() < 0:
        raise UnsupportedFormatError("A profile has more properties than the schema of this import.", hint="A newer schema wrote it.")
    ends = pa.array([FIELD.encode() * n + b"\n" for n in range(int(missing.max()) + 1)], pa.binary())
    lines = pc.binary_join_element_wise(records, ends.take(pa.array(missing)), b"")
    offsets = np.frombuffer(lines.buffers()[1], np.int32, len(lines) + 1, 4 * lines.offset)
    return lines.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))


def _count(texts: pa.BinaryArray, byte: bytes) -> npt.NDArray[np.int32]:
    """How often each text holds the byte. One pass over them all: a search would begin anew in each."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, 4 * texts.offset)
    # One more, for texts at the end that are empty.
    found = np.zeros(offsets[-1] + 1, np.uint8)
    np.equal(np.frombuffer(texts.buffers()[2], np.uint8, offsets[-1]), ord(byte), out=found[:-1].view(bool))
    counts: npt.NDArray[np.int32] = np.add.reduceat(found, offsets[:-1], dtype=np.int32)
    counts[offsets[:-1] == offsets[1:]] = 0
    return counts


def encode_lines(columns: dict[str, Any], width: int) -> bytes:
    """The records of all rows of `columns` (as `decode_records` gives them; `tag` is not needed), each with a LF behind it: none holds one."""
    rows = len(columns["number"])
    fields = [pa.array([TAG]).take(pa.array(np.zeros(rows, np.int32)))]
    fields += [columns[name] for name in (*LEADING[1:], *map(str, range(width)))]
    records = pc.ascii_rtrim(pc.binary_join_element_wise(*fields, FIELD, null_handling="replace", null_replacement=""), FIELD)
    lines = pc.binary_join_element_wise(records, "", "\n")
    offsets = np.frombuffer(lines.buffers()[1], np.int32)
    return bytes(memoryview(lines.buffers()[2])[offsets[lines.offset] : offsets[lines.offset + rows]])


def encode_records(columns: dict[str, Any], width: int) -> list[bytes]:
    """`encode_lines`, one by one."""
    return encode_lines(columns, width).split(b"\n")[:-1]
