"""What the golden files hold, as objects: one example of everything that a format can say."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator

import pyarrow as pa

from headrace.import_plan import ImportPlan, PlannedFormat, PlannedLink, PlannedMapping
from profile_store.records import Record
from profile_store.sequence import Registration, Source
from streaming.envelope import Header
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
    link=PlannedLink(column="mail", property="email", type="email"),
    mappings=(
        PlannedMapping(column="mail", property="email", property_id=0, type="email", identifier=True, rule="set_if_empty"),
        PlannedMapping(column="points", property="points", property_id=1, type="number", rule="sum"),
        PlannedMapping(column="tags", property="interests", property_id=4, multiple=True, rule="add"),
        PlannedMapping(column="born", property="birth_date", property_id=8, type="date", rule="set", blank="clear"),
    ),
    allow_creation=True,
    on_bad_cell="reject_row",
)
SOURCE = Source("crm", "in/é a.csv", "v1", '"etag"', 123, "2026-01-02T03:04:05+00:00", "in/_headrace/pinned/abc/a.csv", '"etag2"')
IMPORT = Registration("retail", 42, "import", "crm", "customers", "run-1", SOURCE, PLAN, "c0ffee", 3, 1)
SCHEMA_CHANGE = Registration("retail", 43, "schema", "", "", "", None, None, schema_version=4)

SPLIT_PLAN = ImportPlan(
    domain="retail",
    partitions=3,
    address_key="07" * 32,
    schema_version=1,
    width=3,
    link=PlannedLink(column="id", property="customer_id"),
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
