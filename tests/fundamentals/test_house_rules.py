"""Rules of the house that ruff does not know: sizes, leftovers, sleeps in tests, traces of the machine it was written on."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator

from tests.fundamentals.sources import PRODUCT, PROJECT, Source, sources, tracked_files

LONGEST_FILE = 350
MOST_ARGUMENTS = 7
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
WAITS = "tests/polling.py"
"""The one file of the tests that may wait: it polls, with a deadline that says what for."""


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_can_be_read_in_one_sitting() -> None:
    long = [f"{one.name}: {lines} lines" for one in sources(*PRODUCT) if (lines := one.text.count("\n")) > LONGEST_FILE]
    assert not long, f"over {LONGEST_FILE} lines, split by what they do: {long}"


def test_no_function_takes_more_than_seven_arguments() -> None:
    many = []
    for source in sources(*PRODUCT):
        for function in functions(source):
            names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > MOST_ARGUMENTS:
                many.append(f"{source.name}:{function.lineno}: {function.name} takes {count}")
    assert not many, many


def test_nothing_is_left_for_later() -> None:
    left = []
    for source in sources(*PRODUCT):
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.COMMENT and LEFTOVERS.search(token.string):
                left.append(f"{source.name}:{token.start[0]}: {token.string}")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Name) and node.id in ("NotImplementedError", "NotImplemented"):
                left.append(f"{source.name}:{node.lineno}: {node.id}")
    assert not left, left


def test_every_test_is_run() -> None:
    """pyproject.toml lists the folders, fast ones first; one that is not listed would never run."""
    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    strangers = [
        one.name
        for one in sources("tests")
        if one.path.name.startswith("test_") and not one.name.startswith(tuple(f"{folder}/" for folder in listed))
    ]
    assert not strangers, f"add their folder to testpaths in pyproject.toml: {strangers}"


def sleeps(tree: ast.AST) -> list[int]:
    """Lines that call a sleep, under whatever name it was imported."""
    modules, names = {"time", "asyncio", "trio", "anyio"}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {one.asname for one in node.names if one.name in modules and one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            names |= {one.asname or one.name for one in node.names if one.name == "sleep"}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in names)
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr == "sleep"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in modules
            )
        )
    ]


def test_no_test_sleeps() -> None:
    found = [f"{one.name}:{line}" for one in sources("tests") if one.name != WAITS for line in sleeps(one.tree)]
    assert not found, f"poll for what is awaited with tests.polling.eventually instead: {found}"


def test_sleeps_are_seen() -> None:
    text = "import time as t, asyncio\nfrom time import sleep as nap\nt.sleep(1)\nnap(1)\nasyncio.sleep(1)\nprocess.sleep(1)\n"
    assert sleeps(ast.parse(text)) == [3, 4, 5]


# In pieces, so that this file is no finding of its own.
MACHINE_PATHS = re.compile(
    "|".join(["/" + "root/", "/" + "work/", "/" + r"Users/\w", "/" + r"home/(?!headrace\b)\w", r"[A-Z]:\\" + "Users"])
)


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    assert tracked_files(), "this needs a git checkout"
    found = []
    for path in tracked_files():
        if path.name == "uv.lock" or b"\0" in (content := path.read_bytes()):
            continue
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if MACHINE_PATHS.search(line):
                found.append(f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:120]}")
    assert not found, "\n" + "\n".join(found)
