"""Every file that a schedule's exports have ever made visible, as whoever had read it would have found it."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from dataclasses import dataclass

from headrace.address import partition_of
from object_store.access import connect
from streaming.exporting.close_export import OWNER
from tests.faults.shop_exports import bucket_of
from tests.faults.world import Stage

Lines = dict[bytes, dict[str, str]]
"""Profile identifier → its line."""


@dataclass(frozen=True)
class ExportedFile:
    """`lines`: of each partition, by its number."""

    export_id: str
    key: str
    lines: dict[int, Lines]

    @property
    def goal(self) -> str:
        return self.key.partition("/")[0]

    @property
    def exported(self) -> int:
        return sum(map(len, self.lines.values()))


def exported_files(stage: Stage) -> list[ExportedFile]:
    """Raises AssertionError for a profile that is in a file twice, and for uploads that nobody will ever end."""
    client, bucket = connect(stage.real.access, 1), bucket_of(stage.domain)
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert not uploads, f"uploads that nobody will end: {[one['Key'] for one in uploads]}"
    found = []
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", []):
            there = client.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            data = there["Body"].read()
            plain = gzip.decompress(data) if one["Key"].endswith(".gz") else data
            found.append(ExportedFile(there["Metadata"][OWNER], one["Key"], _lines(plain, one["Key"], stage.schedule.partitions)))
    return found


def _lines(data: bytes, key: str, partitions: int) -> dict[int, Lines]:
    found: defaultdict[int, Lines] = defaultdict(dict)
    for line in csv.DictReader(io.StringIO(data.decode(), newline="")):
        identifier = bytes.fromhex(line["pid"])
        lines = found[partition_of(identifier, partitions)]
        assert identifier not in lines, f"profile {identifier.hex()} is in {key} twice"
        lines[identifier] = line
    return found
