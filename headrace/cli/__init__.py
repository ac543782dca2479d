"""The command line: the top layer. It may import everything, and does so only when a command needs it, so that `--help` is quick."""

from __future__ import annotations


def main() -> None:
    """The entry point `headrace`. Exit code 0: it did what was asked; 1: it did not, and said why; 2: the command line is wrong."""
    from headrace.cli.app import app

    app(prog_name="headrace")
