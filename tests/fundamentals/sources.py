"""What the fundamentals look at: the product's own Python files, read and not imported."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT = ("headrace", "object_store", "profile_store", "streaming", "tasks", "flows", "deployments", "api")
"""Folders that are shipped. One that does not exist yet holds no file."""


@dataclass(frozen=True)
class Source:
    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(PROJECT))

    @property
    def module(self) -> str:
        parts = self.path.relative_to(PROJECT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """What relative imports start from."""
        return self.module if self.path.name == "__init__.py" else self.module.rpartition(".")[0]


def sources(*folders: str) -> list[Source]:
    return [_read(path) for folder in folders for path in sorted((PROJECT / folder).rglob("*.py"))]


@cache
def _read(path: Path) -> Source:
    text = path.read_text()
    return Source(path, text, ast.parse(text))


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, wherever it stands: in functions and under TYPE_CHECKING too, and by a constant name."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, one.name) for one in names)
            case ast.ImportFrom(module=module, level=0, names=names) if module:
                # `from profile_store import keys` imports a module as well as a name does.
                yield from ((node.lineno, f"{module}.{one.name}") for one in names)
            case ast.ImportFrom(module=module, level=level, names=names):
                base = source.package.split(".")[: len(source.package.split(".")) - level + 1]
                whole = ".".join([*base, *([module] if module else [])])
                yield from ((node.lineno, f"{whole}.{one.name}") for one in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


@cache
def tracked_files() -> tuple[Path, ...]:
    """What git has, or would have: new files count before they are added. Empty where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT, capture_output=True, check=False
    )
    paths = (PROJECT / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())
