"""`python -m tests.golden.write`: the golden files of the format numbers that this release writes, where there are none yet.

Run it when a format number was raised, and commit what it adds. A file that is there stays: if its test fails, the format was changed
without a new number, and it is the code that must be put right.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa

from profile_store.records import LEADING, RECORD_FORMAT, Record, encode_records, packed_addresses, stored
from streaming.envelope import MESSAGE_FORMAT, encode, encode_body
from streaming.neighbours import encode_telling
from streaming.split import SPLITTER_FORMAT
from tests.golden import examples

HERE = Path(__file__).resolve().parent


def record_lines() -> bytes:
    """One record a line: a record holds no line end."""
    narrow = encode_records(_columns([examples.NARROW], 2), 2)
    bound = _columns([examples.BOUND], examples.WIDTH)
    bound["undecided"] = pa.array([examples.NOTES])
    wide = _columns(list(examples.RECORDS), examples.WIDTH)
    return b"\n".join([*encode_records(wide, examples.WIDTH), *narrow, *encode_records(bound, examples.WIDTH)]) + b"\n"


def _columns(records: list[Record], width: int) -> dict[str, pa.StringArray]:
    columns: dict[str, pa.StringArray] = {name: pa.nulls(len(records), pa.string()) for name in LEADING}
    columns["number"] = pa.array([str(one.number) for one in records], pa.string())
    columns["addresses"] = pa.array([packed_addresses(one.addresses) or None for one in records], pa.string())
    columns["expires"] = pa.array([None if one.expires is None else str(one.expires) for one in records], pa.string())
    for place in range(width):
        values = [one.values.get(place) for one in records]
        columns[str(place)] = pa.array([None if value is None else stored(value) for value in values], pa.string())
    return columns


def splitter_cuts() -> bytes:
    files = {"quirks": (HERE / "quirks.csv").read_bytes(), "by_count": examples.by_count(), "by_size": examples.by_size()}
    return json.dumps({name: examples.digests(data) for name, data in files.items()}, indent=1).encode() + b"\n"


WRITERS = {
    f"record-{RECORD_FORMAT}.txt": record_lines,
    f"pointer-{RECORD_FORMAT}.bin": lambda: examples.POINTER_BLOB,
    f"message-{MESSAGE_FORMAT}.bin": lambda: encode(examples.HEADER, examples.ROWS),
    f"neighbour-{MESSAGE_FORMAT}.bin": lambda: encode_body(examples.NEIGHBOUR_HEADER, encode_telling(examples.TELLING)),
    "registration-1.json": lambda: examples.IMPORT.as_json().encode(),
    "registration-2.json": lambda: examples.REPLAY.as_json().encode(),
    "segments-change-3.json": lambda: examples.SEGMENTS_CHANGE.as_json().encode(),
    "registration-4.json": lambda: examples.UPLOAD.as_json().encode(),
    "expiry-4.json": lambda: examples.EXPIRY.as_json().encode(),
    "plan-2.json": lambda: json.dumps(examples.WITH_OBJECTIVES.as_document(), sort_keys=True).encode(),
    "plan-3.json": lambda: json.dumps(examples.OF_UPLOAD.as_document(), sort_keys=True).encode(),
    "schema-change-1.json": lambda: examples.SCHEMA_CHANGE.as_json().encode(),
    f"splitter-{SPLITTER_FORMAT}.json": splitter_cuts,
}


def main() -> None:
    for name, write in WRITERS.items():
        path = HERE / name
        if path.exists():
            sys.stdout.write(f"{name}: stays as it is\n")
        else:
            path.write_bytes(write())
            sys.stdout.write(f"{name}: written; commit it\n")


if __name__ == "__main__":
    main()
