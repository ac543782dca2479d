"""What any release wrote is read for ever, and read as what it was; what a newer one wrote is refused (DESIGN §2, Formats)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.errors import UnsupportedFormatError
from profile_store.records import RECORD_FORMAT, decode_record, decode_records, stored
from profile_store.sequence import REGISTRATION_FORMAT, Registration
from streaming.envelope import MESSAGE_FORMAT, decode, decode_header, encode
from streaming.split import SPLITTER_FORMAT
from tests.golden import examples, write

RECORD_1 = [*examples.RECORDS, examples.NARROW]


def golden(name: str) -> bytes:
    return (write.HERE / name).read_bytes()


def record_lines() -> list[bytes]:
    return golden("record-1.txt").removesuffix(b"\n").split(b"\n")


def test_records_of_format_1_are_read_one_by_one() -> None:
    assert [decode_record(line, examples.LISTS) for line in record_lines()] == RECORD_1


def test_records_of_format_1_are_read_in_columns() -> None:
    columns = decode_records([*record_lines(), None], examples.WIDTH)
    assert columns["number"].to_pylist() == [*(str(one.number) for one in RECORD_1), None]
    for place in range(examples.WIDTH):
        values = [one.values.get(place) for one in RECORD_1]
        assert columns[str(place)].to_pylist() == [*(None if value is None else stored(value) for value in values), None]
    for name in ("addresses", "expires", "undecided"):
        assert columns[name].null_count == len(RECORD_1) + 1


def test_a_message_of_format_1_is_read() -> None:
    message = decode(golden("message-1.bin"))
    assert message.header == examples.HEADER
    assert message.rows.equals(examples.ROWS)


@pytest.mark.parametrize(("name", "expected"), [("registration-1.json", examples.IMPORT), ("schema-change-1.json", examples.SCHEMA_CHANGE)])
def test_registrations_of_format_1_are_read(name: str, expected: Registration) -> None:
    assert Registration.from_json("retail", expected.import_seq, golden(name).decode()) == expected


@pytest.mark.parametrize("file", ["quirks", "by_count", "by_size"])
def test_files_are_cut_as_the_splitters_format_says(file: str) -> None:
    """Another cut under the same number would make an import that was published before go on with other rows: raise SPLITTER_FORMAT."""
    expected = json.loads(golden(f"splitter-{SPLITTER_FORMAT}.json"))[file]
    data = {"quirks": golden("quirks.csv"), "by_count": examples.by_count(), "by_size": examples.by_size()}[file]
    assert examples.digests(data) == expected
    assert len(expected) > examples.SPLIT_PLAN.partitions or file == "quirks"


def test_every_format_that_is_written_has_its_golden_file() -> None:
    assert [name for name in write.WRITERS if not (write.HERE / name).exists()] == []
    assert golden(f"record-{RECORD_FORMAT}.txt") == write.record_lines()
    assert golden(f"registration-{REGISTRATION_FORMAT}.json").decode() == examples.IMPORT.as_json()
    head = golden(f"message-{MESSAGE_FORMAT}.bin")
    start = decode_header(head)[1]
    assert encode(examples.HEADER, examples.ROWS)[:start] == head[:start]


def newer_plan(document: dict[str, Any]) -> None:
    document["plan"]["format"] += 1


def newer_registration(document: dict[str, Any]) -> None:
    """Whatever else it says."""
    document.clear()
    document["format"] = REGISTRATION_FORMAT + 1


@pytest.mark.parametrize("change", [newer_plan, newer_registration])
def test_a_newer_registration_is_refused(change: Any) -> None:
    document = json.loads(golden("registration-1.json"))
    change(document)
    with pytest.raises(UnsupportedFormatError, match="Upgrade"):
        Registration.from_json("retail", 42, json.dumps(document))


def test_a_newer_record_is_refused() -> None:
    newer = record_lines()[1].replace(b"R1", f"R{RECORD_FORMAT + 1}".encode(), 1)
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        decode_record(newer, examples.LISTS)
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        decode_records([record_lines()[0], newer], examples.WIDTH)


def test_a_newer_message_is_refused() -> None:
    value = bytearray(golden("message-1.bin"))
    value[2] = MESSAGE_FORMAT + 1
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        decode(bytes(value))
