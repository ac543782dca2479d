"""`headrace check`: is what the files say right? By themselves, and against the installation where one is set."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.cli.configuration import (
    consent_warnings,
    export_warnings,
    load_with_installation,
    reimport_warnings,
    segment_warnings,
    sum_warnings,
)
from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal
from headrace.errors import ConfigurationError, TransientError
from headrace.yaml_source import PRINCIPALS, Configuration, kind_of, load_files
from streaming.importing.apply import plan_configuration

ALONE = "the files alone; no installation is set"
INSTALLATION = "the files and the installation"
UNANSWERED = "the files alone; the installation did not answer"


def check_files(terminal: Terminal, files: list[Path]) -> bool:
    """Raises ConfigurationError with all problems of all files."""
    principals = [path for path in files if kind_of(path) == PRINCIPALS]
    names, warnings, problems = _checked_principals(principals)
    others = [path for path in files if path not in principals]
    try:
        configuration, against, found = _checked(terminal, others) if others else (Configuration({}, {}), ALONE, [])
    except ConfigurationError as error:
        raise ConfigurationError([*problems, *error.problems]) from None
    if problems:
        raise ConfigurationError(problems)
    warnings += [*consent_warnings(configuration), *sum_warnings(configuration), *export_warnings(configuration), *found]
    said = [f"domain {name}" for name in configuration.domains] + [f"connection {name}" for name in configuration.connections]
    said += [f"segment {domain}/{name}" for domain, name in configuration.segments] + [f"principal {name}" for name in names]
    terminal.document(
        {
            "ok": True,
            "checked": against,
            "domains": list(configuration.domains),
            "connections": list(configuration.connections),
            "segments": [f"{domain}/{name}" for domain, name in configuration.segments],
            "principals": names,
            "warnings": warnings,
        }
    )
    for warning in warnings:
        terminal.warn(warning)
    terminal.say(f"{', '.join(said)}: no problems (checked: {against})", style="green")
    return True


def _checked_principals(files: list[Path]) -> tuple[list[str], list[str], list[str]]:
    """Names of principals, warnings, and problems: the API would not start with a file that has any."""
    names, warnings, problems = list[str](), list[str](), list[str]()
    if files:
        # The API's model takes half a second to load.
        from api.principals_file import check_principals

        for path in files:
            try:
                checked = check_principals(path)
            except ConfigurationError as error:
                problems += error.problems
            else:
                names += checked.names
                warnings += checked.warnings
    return names, warnings, problems


def _checked(terminal: Terminal, files: list[Path]) -> tuple[Configuration, str, list[str]]:
    """An installation that does not answer is no fault of the files."""
    if not any(name.startswith("HEADRACE_REDIS_") for name in os.environ):
        configuration = load_files(files)
        return configuration, ALONE, [*segment_warnings(configuration)]
    try:
        with opened_store() as store:
            configuration = load_with_installation(store, files)
            plan = plan_configuration(store, configuration)
            return configuration, INSTALLATION, [*segment_warnings(configuration, store), *reimport_warnings(configuration, plan)]
    except TransientError as error:
        terminal.warn(f"checked without the installation: {error}")
        configuration = load_files(files)
        return configuration, UNANSWERED, [*segment_warnings(configuration)]
