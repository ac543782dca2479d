"""The benchmark's file is the yardstick's, byte for byte: whoever compares two runs compares the same work."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmarks import data

YARDSTICK = {
    "create": "51925035bed502b16f8a05f16e4a70aea579b617b61d66827d52c05eb4cc7c1f",
    "update": "6c3a9f64dc5c3cefc74b63cf36c3c67970ef0b51750eddadbb5ef0dfeeaf3169",
}
"""SHA-256 of what the yardstick's own program writes for 1,000 rows."""


@pytest.mark.parametrize("kind", YARDSTICK)
def test_the_file_is_the_yardsticks(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    data.write(1_000, kind, path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == YARDSTICK[kind]
