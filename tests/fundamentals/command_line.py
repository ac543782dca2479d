"""Reading command lines of documents and Compose files, without running them."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Sequence
from typing import Any

import typer
import typer.core

from headrace.cli.app import app
from tests.fundamentals.sources import PROJECT

PLACEHOLDER = "…"

UsageError: Any = typer.BadParameter.__bases__[0]
"""Of the click that typer carries in itself, and does not name."""


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def headrace_problem(arguments: Sequence[str]) -> str | None:
    """Why `headrace <arguments>` would be refused; None if it would not. YAML files that it names have to be in the repository."""
    words = [word for word in arguments if word != PLACEHOLDER]
    group = typer.main.get_group(app)
    command: typer.core.TyperGroup | Any = group
    name = "headrace"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
    if PLACEHOLDER not in arguments:
        try:
            command.make_context(name, list(words))
        except typer.Exit:
            pass  # --help
        except UsageError as error:
            return str(error.format_message())
    missing = [word for word in words if word.endswith((".yaml", ".yml")) and not (PROJECT / word).is_file()]
    return f"there is no {missing[0]}" if missing else None


def python_problem(arguments: Sequence[str]) -> str | None:
    """Of `python -m MODULE …` and `python -c CODE`: whether what they import is there."""
    match list(arguments):
        case ["-", *_]:
            return None  # what follows is on the next lines
        case ["-m", module, *_]:
            wanted = [(str(module), "")]
        case ["-c", code, *_]:
            tree = ast.parse(str(code))
            wanted = [(one.name, "") for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
            wanted += [(str(node.module), one.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for one in node.names]
        case _:
            return "neither -m nor -c"
    for module, name in wanted:
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            return str(error)
        if name and not hasattr(found, name):
            return f"{module} has no {name}"
    return None


def problem(line: str) -> str | None:
    """Of one line of a shell; None too where it is a command that this does not know."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    match words:
        case ["docker", "compose", "run", *rest] if "headrace" in rest:
            return headrace_problem(rest[rest.index("headrace") + 1 :])
        case [("headrace" | ".venv/bin/headrace"), *rest]:
            return headrace_problem(rest)
        case [("python" | ".venv/bin/python"), *rest]:
            return python_problem(rest)
        case ["make", *rest]:
            unknown = [word for word in rest if "=" not in word and word not in make_targets()]
            return f"the Makefile has no {', '.join(unknown)}" if unknown else None
        case _:
            return None
