"""`python -m tests.golden.write`: the golden files of the format numbers that this release writes, where there are none yet.

Run it when a format number was raised, and commit what it adds. A file that is there stays: if its test fails, the format was changed
without a new number, and it is the code that must be put right.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa

from profile_store.records import LEADING, RECORD_FORMAT, Record, encode_records, stored
from profile_store.sequence import REGISTRATION_FORMAT
from streaming.envelope import MESSAGE_FORMAT, encode
from streaming.split import SPLITTER_FORMAT
from tests.golden import examples

HERE = Path(__file__).resolve().parent


def record_lines() -> bytes:
    """One record a line: a record holds no line end."""
    narrow = encode_records(_columns([examples.NARROW], 2), 2)
    return b"\n".join([*encode_records(_columns(list(examples.RECORDS), examples.WIDTH), examples.WIDTH), *narrow]) + b"\n"


def _columns(records: list[Record], width: int) -> dict[str, pa.StringArray]:
    columns: dict[str, pa.StringArray] = {name: pa.nulls(len(records), pa.string()) for name in LEADING}
    columns["number"] = pa.array([str(one.number) for one in records], pa.string())
    for place in range(width):
        values = [one.values.get(place) for one in records]
        columns[str(place)] = pa.array([None if value is None else stored(value) for value in values], pa.string())
    return columns


def splitter_cuts() -> bytes:
    files = {"quirks": (HERE / "quirks.csv").read_bytes(), "by_count": examples.by_count(), "by_size": examples.by_size()}
    return json.dumps({name: examples.digests(data) for name, data in files.items()}, indent=1).encode() + b"\n"


WRITERS = {
    f"record-{RECORD_FORMAT}.txt": record_lines,
    f"message-{MESSAGE_FORMAT}.bin": lambda: encode(examples.HEADER, examples.ROWS),
    f"registration-{REGISTRATION_FORMAT}.json": lambda: examples.IMPORT.as_json().encode(),
    f"schema-change-{REGISTRATION_FORMAT}.json": lambda: examples.SCHEMA_CHANGE.as_json().encode(),
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
