"""What any release wrote is read for ever, and read as what it was; what a newer one wrote is refused (DESIGN §2, Formats)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.errors import UnsupportedFormatError
from headrace.import_plan import PLAN_FORMAT, Binding, ImportPlan
from headrace.segment_set import decode_segments
from profile_store.records import RECORD_FORMAT, decode_record, decode_records, packed_addresses, pointed_at, pointer_to, stored
from profile_store.registration import REGISTRATION_FORMAT, Registration
from streaming.envelope import MESSAGE_FORMAT, MalformedMessageError, decode, decode_header, encode
from streaming.merge.undecided import Cell, Undecided
from streaming.merge.undecided import decode as decode_notes
from streaming.neighbours import CLAIM, ERASURE, decode_telling
from streaming.split import SPLITTER_FORMAT
from tests.golden import examples, write

RECORD_1 = [*examples.RECORDS, examples.NARROW, examples.BOUND]


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
    rest = [None] * (len(RECORD_1) - 1)
    assert columns["addresses"].to_pylist() == [*rest, packed_addresses(examples.BOUND.addresses), None]
    assert columns["expires"].to_pylist() == [*rest, "1900000000", None]
    assert columns["undecided"].to_pylist() == [*rest, examples.NOTES, None]


def test_notes_of_undecided_cells_of_format_1_are_read_and_written_back() -> None:
    noted = decode_records([record_lines()[-1]], examples.WIDTH)["undecided"].to_pylist()[0]
    bindings = (
        Binding("id", "customer_id", "text", 0, 0, 0, "set"),
        Binding("phone", "phone", "text", None, 1, 5, "set_if_empty"),
        Binding("mail", "email", "email", 1),
    )
    found = Undecided(bindings, lambda name, value: f"{name}={value}".encode())
    present: dict[int, str | None] = {0: "shown", 5: None}
    decode_notes(noted, found, present)
    assert found.bases == {0: "C0", 5: "old value"}
    assert found.cells == [
        Cell("u", "s", 0, 17, "C1"),
        Cell("u", "n", 2, 17, "other", in_doubt=True),
        Cell("g", "s", 0, 18, "C9"),
        Cell("d", "s", 0, 19, "C\x1c2=8"),
        Cell("g", "c", 0, 20, None, in_doubt=True),
        Cell("u", "e", 1, 21, "+351", in_doubt=True),
    ]
    assert found.encode(42, present) == noted


def test_a_pointer_of_format_1_is_read() -> None:
    assert pointed_at(golden("pointer-1.bin")) == b"\x00\n\x1f\xff" * 4


def test_a_message_to_a_neighbour_of_format_1_is_read() -> None:
    value = golden("neighbour-1.bin")
    header, start = decode_header(value)
    told = decode_telling(memoryview(value)[start:])
    assert header == examples.NEIGHBOUR_HEADER
    assert told.settled == examples.TELLING.settled
    assert told.rows is not None
    assert told.rows.equals(examples.ROWS)
    for name in ("claims", "denied", "erasures"):
        assert getattr(told, name).tolist() == getattr(examples.TELLING, name).tolist()


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_what_a_neighbour_says_cut_off_is_malformed(cut: int) -> None:
    value = golden("neighbour-1.bin")
    with pytest.raises(MalformedMessageError):
        decode_telling(memoryview(value)[decode_header(value)[1] : -cut])


def test_a_message_of_format_1_is_read() -> None:
    message = decode(golden("message-1.bin"))
    assert message.header == examples.HEADER
    assert message.rows.equals(examples.ROWS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("registration-1.json", examples.IMPORT),
        ("schema-change-1.json", examples.SCHEMA_CHANGE),
        ("registration-2.json", examples.REPLAY),
        ("segments-change-3.json", examples.SEGMENTS_CHANGE),
        ("registration-4.json", examples.UPLOAD),
        ("expiry-4.json", examples.EXPIRY),
    ],
)
def test_registrations_of_every_format_are_read(name: str, expected: Registration) -> None:
    assert Registration.from_json("retail", expected.import_seq, golden(name).decode()) == expected


def test_segments_of_format_1_are_read() -> None:
    registration = Registration.from_json("retail", 45, golden("segments-change-3.json").decode())
    assert decode_segments(registration.segments, registration.import_seq) == examples.SEGMENTS


def test_a_plan_of_format_2_is_read() -> None:
    assert ImportPlan.from_document(json.loads(golden("plan-2.json"))) == examples.WITH_OBJECTIVES


def test_a_plan_of_format_3_is_read() -> None:
    assert ImportPlan.from_document(json.loads(golden("plan-3.json"))) == examples.OF_UPLOAD


def test_a_plan_without_objectives_is_written_as_releases_before_read_it() -> None:
    assert json.loads(golden("registration-1.json"))["plan"] == examples.PLAN.as_document()
    assert examples.PLAN.as_document()["format"] == 1


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
    assert golden("registration-1.json").decode() == examples.IMPORT.as_json()
    assert golden("registration-2.json").decode() == examples.REPLAY.as_json()
    assert golden("segments-change-3.json").decode() == examples.SEGMENTS_CHANGE.as_json()
    assert golden("registration-4.json").decode() == examples.UPLOAD.as_json()
    assert golden("expiry-4.json").decode() == examples.EXPIRY.as_json()
    head = golden(f"message-{MESSAGE_FORMAT}.bin")
    start = decode_header(head)[1]
    assert encode(examples.HEADER, examples.ROWS)[:start] == head[:start]
    told = golden(f"neighbour-{MESSAGE_FORMAT}.bin")
    ours, start = write.WRITERS[f"neighbour-{MESSAGE_FORMAT}.bin"](), decode_header(told)[1]
    assert ours[:start] == told[:start]
    fixed = slice(start + 20, start + 20 + 3 * CLAIM.itemsize + ERASURE.itemsize)  # behind the lengths, before the rows: these are Arrow's
    assert ours[fixed] == told[fixed]
    assert json.loads(golden("plan-2.json")) == examples.WITH_OBJECTIVES.as_document()
    assert json.loads(golden(f"plan-{PLAN_FORMAT}.json")) == examples.OF_UPLOAD.as_document()
    assert golden(f"pointer-{RECORD_FORMAT}.bin") == pointer_to(b"\x00\n\x1f\xff" * 4)


def newer_plan(document: dict[str, Any]) -> None:
    document["plan"]["format"] = PLAN_FORMAT + 1


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
