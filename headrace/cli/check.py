"""`headrace check`: is what the files say right? By themselves, and against the installation where one is set."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.cli.configuration import load_alone, load_with_installation, reimport_warnings, sum_warnings
from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal
from headrace.errors import TransientError
from headrace.yaml_source import Configuration
from streaming.importing.apply import plan_configuration

ALONE = "the files alone; no installation is set"
INSTALLATION = "the files and the installation"


def check_files(terminal: Terminal, files: list[Path]) -> bool:
    """Raises ConfigurationError with all problems of all files."""
    configuration, against, warnings = _checked(terminal, files)
    warnings = [*sum_warnings(configuration), *warnings]
    names = [f"domain {name}" for name in configuration.domains] + [f"connection {name}" for name in configuration.connections]
    terminal.document(
        {
            "ok": True,
            "checked": against,
            "domains": list(configuration.domains),
            "connections": list(configuration.connections),
            "warnings": warnings,
        }
    )
    for warning in warnings:
        terminal.warn(warning)
    terminal.say(f"{', '.join(names)}: no problems (checked: {against})", style="green")
    return True


def _checked(terminal: Terminal, files: list[Path]) -> tuple[Configuration, str, list[str]]:
    """An installation that does not answer is no fault of the files."""
    if not any(name.startswith("HEADRACE_REDIS_") for name in os.environ):
        return load_alone(files), ALONE, []
    try:
        with opened_store() as store:
            configuration = load_with_installation(store, files)
            plan = plan_configuration(store, configuration)
            return configuration, INSTALLATION, reimport_warnings(store, configuration, plan)
    except TransientError as error:
        terminal.warn(f"checked without the installation: {error}")
        return load_alone(files), "the files alone; the installation did not answer", []
