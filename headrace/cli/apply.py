"""`headrace apply`: what the files say, made so; in the store, in Kafka and in Prefect. Safe to repeat."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.cli.configuration import load_with_installation, reimport_warnings, sum_warnings
from headrace.cli.servers import opened, settings
from headrace.cli.terminal import Terminal
from headrace.connections import Connection
from streaming.importing.apply import apply_configuration, plan_configuration

GUESSABLE = (
    "HEADRACE_ADDRESS_SECRET is not set: who can read the keys of the new domain can guess identifiers like e-mails from them."
    " It is taken once, when a domain is made."
)


def apply_files(terminal: Terminal, files: list[Path]) -> bool:
    """Shows its plan, then does it. Raises ConfigurationError before anything is changed."""
    secret = settings().address_secret.get_secret_value()
    with opened() as context:
        configuration = load_with_installation(context.store, files)
        plan = plan_configuration(context.store, configuration)
        lines = plan.lines()
        warnings = reimport_warnings(context.store, configuration, plan) or (sum_warnings(configuration) if lines else [])
        warnings += [GUESSABLE] if not secret and any(one.stored is None for one in plan.domains) else []
        _show_plan(terminal, lines, warnings)
        apply_configuration(context, plan, secret)
    deployments = _deploy(terminal, list(configuration.connections.values()))
    terminal.document({"changes": lines, "warnings": warnings, "deployments": deployments})
    if lines:
        terminal.say("applied", style="green")
    return True


def _show_plan(terminal: Terminal, lines: list[str], warnings: list[str]) -> None:
    for line in lines:
        terminal.say(line)
    for warning in warnings:
        terminal.warn(warning)
    if not lines:
        terminal.say("nothing changes: everything is as the files say", style="green")


def _deploy(terminal: Terminal, connections: list[Connection]) -> list[str]:
    """Again even where nothing changed: somebody may have deleted one in Prefect."""
    if not connections:
        return []
    if not os.environ.get("PREFECT_API_URL"):
        terminal.note("Prefect was left alone: PREFECT_API_URL is not set")
        return []
    from deployments.started_runs import deploy

    names = deploy(connections)
    for name in names:
        terminal.note(f"deployment {name} is in place in Prefect")
    return names
