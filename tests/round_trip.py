"""An export into a file and its import into an empty domain, in memory: by the code that exports and workers run."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from headrace.formats import ExportFormat, FileFormat
from headrace.import_plan import ImportPlan, PlannedLink, PlannedMapping
from headrace.merge import Profile
from object_store.compression import decompressed
from profile_store.members import Members
from profile_store.records import encode_records, stored
from streaming.exporting.format_members import format_members, header_line
from streaming.exporting.plan import ExportPlan, PropertyCells, TextCells
from streaming.importing.plan import planned_format
from tests.memory_domain import MemoryDomain

PARTITIONS = 2
Properties = tuple[tuple[str, str, bool], ...]
"""Name, which is the column's header too, type, multiple; the first is the identifier."""
PROPERTIES: Properties = (
    ("id", "text", False),
    ("amount", "number", False),
    ("born", "date", False),
    ("seen", "datetime", False),
    ("mail", "email", False),
    ("ok", "boolean", False),
    ("note", "text", False),
    ("tags", "text", True),
    ("scores", "number", True),
    ("days", "date", True),
)


def exported(profiles: Mapping[str, Profile], written: ExportFormat, properties: Properties = PROPERTIES) -> tuple[bytes, int]:
    """The file of an export of these profiles (identifier → values), and how many values it leaves out."""
    names = {name: str(place) for place, (name, _, _) in enumerate(properties)}
    rows = [{properties[0][0]: identifier, **values} for identifier, values in sorted(profiles.items())]
    columns = {names[name]: pa.array([None if row.get(name) is None else stored(row[name]) for row in rows], pa.string()) for name in names}
    columns |= {"number": pa.array(list(map(str, range(len(rows)))), pa.string())}
    columns |= dict.fromkeys(("addresses", "expires", "undecided"), pa.nulls(len(rows), pa.string()))
    plan = ExportPlan(
        domain="test",
        partitions=1,
        width=len(properties),
        format=written,
        headers=(*names, "from"),
        cells=(*(PropertyCells(place, kind, multiple) for place, (_, kind, multiple) in enumerate(properties)), TextCells("x")),
        segments=("all",),
        segment_ids=(1,),
        wanted=tuple(range(len(properties))),
        selects=True,
        objectives=frozenset(),
        consents_id=None,
    )
    members = Members(np.arange(len(rows)), bytes(16 * len(rows)), encode_records(columns, len(properties)))
    lines = format_members(plan, members, [np.full(1, 255, np.uint8)])
    data = header_line(plan).encode() + lines.text
    if written.compression == "gzip":
        packed = zlib.compressobj(wbits=31)
        data = packed.compress(data) + packed.flush()
    return data, sum(lines.left_out.values())


def imported(data: bytes, written: ExportFormat, properties: Properties = PROPERTIES) -> tuple[dict[str, Profile], int]:
    """Into an empty domain, with the export's own settings: the profiles, and how many cells were rejected."""
    shared = written.model_dump(exclude={"compression", "spreadsheet_safe"})
    plan = ImportPlan(
        domain="test",
        partitions=PARTITIONS,
        address_key="07" * 32,
        schema_version=1,
        width=len(properties),
        file_format=planned_format(FileFormat(**shared)),
        links=(PlannedLink(column=properties[0][0], property=properties[0][0]),),
        mappings=tuple(
            PlannedMapping.model_validate(
                {
                    "column": name,
                    "property": name,
                    "property_id": place,
                    "type": kind,
                    "multiple": multiple,
                    "identifier": place == 0,
                    "rule": "set",
                }
            )
            for place, (name, kind, multiple) in enumerate(properties)
        ),
        allow_creation=True,
        on_bad_cell="reject_cell",
        objectives=(),
        consents_id=None,
    )
    plain = decompressed(io.BytesIO(data), "file.csv").read()  # type: ignore[arg-type]
    domain = MemoryDomain(PARTITIONS)
    outcomes, rejects = domain.import_file(plain, plan)
    return {str(values.pop(properties[0][0])): values for values in domain.profiles().values()}, outcomes.rejected + len(rejects)


def text_of(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=31) if data[:2] == b"\x1f\x8b" else data
