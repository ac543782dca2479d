"""A release that is one ahead of this one, for tests: the same code, whose messages and records have the next format numbers. It reads both."""

from __future__ import annotations

import shutil
from pathlib import Path

from profile_store.records import RECORD_FORMAT
from streaming.envelope import MESSAGE_FORMAT
from tests.pipeline import ROOT

LAYERS = ("headrace", "object_store", "profile_store", "streaming")
NEXT_MESSAGE, NEXT_RECORD = MESSAGE_FORMAT + 1, RECORD_FORMAT + 1
CHANGES: dict[str, list[tuple[str, str]]] = {
    "streaming/envelope.py": [(f"MESSAGE_FORMAT = {MESSAGE_FORMAT}\n", f"MESSAGE_FORMAT = {NEXT_MESSAGE}\n")],
    "profile_store/records.py": [
        (f'TAG = "R{RECORD_FORMAT}"\n', f'TAG = "R{NEXT_RECORD}"\n'),
        ("        if tag != TAG:\n", f'        if tag not in (TAG, "R{RECORD_FORMAT}"):\n'),
    ],
}


def newer_release(directory: Path) -> Path:
    """Where its packages are: to stand first in PYTHONPATH, and be the working directory."""
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, directory / layer, ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in CHANGES.items():
        path = directory / name
        text = path.read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{name}: {old!r} stands there {text.count(old)} times"
            text = text.replace(old, new)
        path.write_text(text)
    return directory
