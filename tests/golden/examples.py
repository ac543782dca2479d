"""What the golden files hold, as objects: one example of everything that a format can say."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from headrace.import_plan import ImportPlan, PlannedFormat, PlannedLink, PlannedMapping
from headrace.schema import DomainSchema, StoredProperty, decode_schema, encode_schema
from headrace.segment_set import DefinedSegment, SegmentSet, encode_segments
from headrace.segments import Segment
from profile_store.records import Record, pointer_to
from profile_store.registration import Registration, Replay, Source
from streaming.envelope import NEIGHBOUR, Header
from streaming.neighbours import CLAIM, ERASURE, Telling
from streaming.split.batches import RowBatch
from streaming.split.splitter import Splitter

LISTS = frozenset({1, 3})
"""The property ids that hold lists in RECORDS."""
WIDTH = 6
RECORDS = (
    Record(0, (), None, {0: "C1"}),
    Record(1, (), None, {0: "C2", 1: ("x", "y"), 2: "0.1", 3: ("1", "2.5"), 4: "2026-01-31", 5: "2026-03-29T01:30:00Z"}),
    Record(4_294_967_296, (), None, {0: 'João, "Silva" 𝄞', 1: ("one",), 2: "-99999999999999999999999999.999999999999"}),
    Record(3, (), None, {0: "\x1c0\x1e1\x1f2\n3\r4", 1: ("a\x1eb", "c\x1fd", "e\x1cf", "g\nh", "i\rj")}),
    Record(4, (), None, {5: "only the last"}),
    Record(5, (), None, {}),
)
NARROW = Record(6, (), None, {0: "of a schema", 1: ("with two properties",)})
"""As a narrower schema wrote it: two property ids."""
BOUND = Record(7, (bytes(range(16)), b"\xfb\xff" * 8), 1_900_000_000, {0: "C7"})
"""With other addresses, and an end of its life; its identifiers are undecided, as NOTES says."""
NOTES = "\x1e".join(
    ("42", "=0:C0", "=5:old value", "us-0:17=C1", "uno2:17=other", "gs-0:18=C9", "ds-0:19=C\x1c2=8", "gco0:20", "ueo1:21=+351")
)
"""Of import 42: values before, then cells: claimed, bound, denied; set, set_if_empty, never stored, cleared; in doubt or not."""

POINTER_BLOB = pointer_to(b"\x00\n\x1f\xff" * 4)

HEADER = Header("retail~household", 7, 3, 11)
ROWS = pa.record_batch(
    [
        pa.array([2, 3, 1_000_000], pa.int64()),
        pa.array([17, 40, 5_000_000_000], pa.int64()),
        pa.array([bytes(range(16)), b"\xff" * 16, bytes(16)], pa.binary(16)),
        pa.array(["C1", " C2 ", ""], pa.string()),
        pa.array(["a|b", "João\n𝄞", "\x1c\x1e\x1f"], pa.string()),
    ],
    names=["line", "offset", "address", "0", "1"],
)

NEIGHBOUR_HEADER = Header("retail~household", 7, 2, 1_000_000, "0011223344556677", NEIGHBOUR, 3)
_claims = [(bytes(range(16)), b"\xff" * 16, 1_000_000, 5_000_000_000, 2), (b"\x01" * 16, b"\x02" * 16, 2, 17, 65_535)]
TELLING = Telling(np.array(_claims, CLAIM), 3, np.array(_claims[1:], CLAIM), ROWS, np.array([(bytes(16), bytes(range(16)), 1)], ERASURE))

PLAN = ImportPlan(
    domain="retail",
    partitions=4,
    address_key="0123456789abcdef" * 4,
    schema_version=3,
    width=9,
    file_format=PlannedFormat(
        separator=";",
        encoding="latin-1",
        decimal=",",
        multi_value="|",
        date_format="%d/%m/%Y",
        datetime_format="%d/%m/%Y %H:%M",
        time_zone="Europe/Amsterdam",
    ),
    links=(PlannedLink(column="mail", property="email", type="email"),),
    mappings=(
        PlannedMapping(column="mail", property="email", property_id=0, type="email", identifier=True, rule="set_if_empty"),
        PlannedMapping(column="points", property="points", property_id=1, type="number", rule="sum"),
        PlannedMapping(column="tags", property="interests", property_id=4, multiple=True, rule="add"),
        PlannedMapping(column="born", property="birth_date", property_id=8, type="date", rule="set", blank="clear"),
    ),
    allow_creation=True,
    on_bad_cell="reject_row",
)
_CONSENTS = PlannedMapping(column="consents", property="consents", property_id=7, multiple=True)
WITH_OBJECTIVES = PLAN.model_copy(update={"mappings": (*PLAN.mappings, _CONSENTS), "objectives": ("newsletter", "ads"), "consents_id": 7})
SOURCE = Source("crm", "in/é a.csv", "v1", '"etag"', 123, "2026-01-02T03:04:05+00:00", "in/_headrace/pinned/abc/a.csv", '"etag2"')
_PHONE = PlannedMapping(column="phone", property="phone", property_id=5, type="phone", longest=255)
OF_UPLOAD = PLAN.model_copy(
    update={
        "file_format": PlannedFormat(phone_region="US"),
        "mappings": (PLAN.mappings[0], _PHONE),
        "expires": 1_900_000_000,
    }
)
IMPORT = Registration("retail", 42, "import", "crm", "customers", "run-1", SOURCE, PLAN, "c0ffee", 3, 1, "0011223344556677")
REPLAY = replace(IMPORT, import_seq=44, token="1122334455667788", replay=Replay(42, 7))
UPLOAD = Registration(
    "retail", 46, "import", "", "upload", "run-1", SOURCE, OF_UPLOAD, "", 3, 1, "aabbccddeeff0011", upload="0123456789abcdef" * 2
)
EXPIRY = Registration(
    "retail", 47, "expire", "", "", "", None, PLAN, schema_version=3, token="bbccddeeff001122", expired_before=1_900_000_000
)
SCHEMA = encode_schema(DomainSchema(4, (StoredProperty(0, "email", "email", identifier=True, multiple=False),)))
SCHEMA_CHANGE = Registration("retail", 43, "schema", "", "", "", None, None, schema_version=4, token="8899aabbccddeeff", schema=SCHEMA)
_LOYAL = Segment.model_validate(
    {
        "version": 1,
        "kind": "segment",
        "domain": "retail",
        "name": "loyal",
        "display_name": "Loyal ü",
        "groups": [{"dimensions": [{"property": "email", "comparison": "ends_with", "values": ["@example.com"]}], "type": "any"}],
    }
)
SEGMENTS = SegmentSet(
    2,
    4,
    (DefinedSegment(1, 40, _LOYAL), DefinedSegment(3, 45, _LOYAL.model_copy(update={"name": "new"}))),
    decode_schema(SCHEMA).properties,
)
SEGMENTS_CHANGE = Registration(
    "retail",
    45,
    "segments",
    "",
    "",
    "",
    None,
    None,
    schema_version=4,
    token="99aabbccddeeff00",
    segments=encode_segments(replace(SEGMENTS, segments=(SEGMENTS.segments[0], replace(SEGMENTS.segments[1], generation=0)))),
)

SPLIT_PLAN = ImportPlan(
    domain="retail",
    partitions=3,
    address_key="07" * 32,
    schema_version=1,
    width=3,
    links=(PlannedLink(column="id", property="customer_id"),),
    mappings=(
        PlannedMapping(column="name", property="name", property_id=1),
        PlannedMapping(column="id", property="customer_id", property_id=0, identifier=True, rule="set_if_empty"),
    ),
    allow_creation=True,
)


def by_count() -> bytes:
    """More rows than a batch takes, in every partition."""
    return b"id,name\n" + b"".join(b"C%d,n%d\n" % (n * 7919 % 1_000, n) for n in range(31_000))


def by_size() -> bytes:
    """Cells so long that a batch is full of few of them; some are longer than what is left of it."""
    return b"id,name\n" + b"".join(b"C%d,%s\n" % (n % 5, b"x" * (n * 7919 % 300_000)) for n in range(40))


def digests(data: bytes) -> list[list[object]]:
    """[partition, batch_no, rows, digest of the rows' content] of each batch that a file is cut into, by partition and number.

    Of the content: the bytes of a message may change with Arrow or lz4.
    """
    return sorted([batch.partition, batch.batch_no, batch.rows.num_rows, _digest(batch)] for batch in _batches(data))


def _batches(data: bytes) -> Iterator[RowBatch]:
    return Splitter(io.BytesIO(data).read, SPLIT_PLAN, "golden.csv").batches()


def _digest(batch: RowBatch) -> str:
    content = [(name, [_plain(value) for value in batch.rows.column(name).to_pylist()]) for name in batch.rows.schema.names]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
