"""`headrace apply`: what the files say, made so; in the store, in Kafka and in Prefect. Safe to repeat."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path

from typer import confirm

from headrace.cli.configuration import consent_warnings, load_with_installation, reimport_warnings, segment_warnings, sum_warnings
from headrace.cli.servers import opened, settings
from headrace.cli.terminal import Form, Terminal
from headrace.connections import Connection
from headrace.errors import TerminalError
from profile_store import audit
from profile_store.segment_registry import read_segments
from streaming.importing.apply import PlanLine, apply_configuration, plan_configuration

GUESSABLE = (
    "HEADRACE_ADDRESS_SECRET is not set: who can read the keys of the new domain can guess identifiers like e-mails from them."
    " It is taken once, when a domain is made."
)


class Manner(Enum):
    ASK = "ask"
    AT_ONCE = "at once"
    ONLY_SHOW = "only show"


MARKS = {"created": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red"), "reimported": ("↻", "magenta")}
"""In front of a line of the plan, as infrastructure tools have them."""


def apply_files(terminal: Terminal, files: list[Path], manner: Manner) -> bool:
    """Shows its plan, then does it. Raises ConfigurationError before anything is changed.

    ASK: a person at a terminal is asked where a goal would be removed or sums be added once more. Elsewhere a removal is refused: the ledger
    of a goal is gone for good.
    """
    secret = settings().address_secret.get_secret_value()
    with opened() as context:
        configuration = load_with_installation(context.store, files)
        plan = plan_configuration(context.store, configuration)
        lines = plan.lines()
        sums = reimport_warnings(configuration, plan)
        warnings = sums or (sum_warnings(configuration) if lines else [])
        warnings += [*consent_warnings(configuration)] if lines else []
        warnings += segment_warnings(configuration, context.store)
        warnings += [GUESSABLE] if not secret and any(one.stored is None for one in plan.domains) else []
        _show_plan(terminal, lines, warnings)
        document = {"changes": [line.text for line in lines], "plan": [asdict(line) for line in lines], "warnings": warnings}
        if manner is Manner.ONLY_SHOW:
            terminal.document(document)
            return True
        if manner is Manner.ASK and not _agreed(terminal, removes=plan.removes, adds_again=bool(sums)):
            terminal.say("nothing was changed", style="bold")
            return False
        if lines:
            audit.note(context.store, "apply", "configuration", changes=document["changes"])
        apply_configuration(context, plan, secret)
        to_build = {one.domain: read_segments(context.store, one.domain).to_build for one in plan.segments}
    deployments = _deploy(terminal, list(configuration.connections.values()))
    built_later = [f"{domain}/{name}" for domain, names in to_build.items() for name in names]
    terminal.document({**document, "to_build": built_later, "deployments": deployments})
    _tell_what_is_to_build(terminal, to_build)
    if lines:
        terminal.say("applied", style="green")
    return True


def _show_plan(terminal: Terminal, lines: list[PlanLine], warnings: list[str]) -> None:
    for line in lines:
        mark, style = MARKS[line.what]
        terminal.say(f"{mark} {line.text}", style=style)
    for warning in warnings:
        terminal.warn(warning)
    if not lines:
        terminal.say("nothing changes: everything is as the files say", style="green")


def _tell_what_is_to_build(terminal: Terminal, to_build: dict[str, tuple[str, ...]]) -> None:
    """SPEC S5: who was there before a segment was defined, or changed, is gone through later; until then it has the members that it had, or none to read."""
    for domain, names in to_build.items():
        if names:
            which = f"segment{'' if len(names) == 1 else 's'} {', '.join(names)} of domain {domain}"
            terminal.note(f"to be built: {which}; the deployment materialize-segments does it by itself, and at once:")
            terminal.note(f"  headrace segment materialize {domain}")


def _agreed(terminal: Terminal, *, removes: bool, adds_again: bool) -> bool:
    """Raises TerminalError where there is nobody to ask and a goal would be removed."""
    if not (removes or adds_again):
        return True
    if terminal.form is Form.PEOPLE and sys.stdin.isatty():
        return confirm("Go on?", default=False)
    if removes:
        raise TerminalError(
            "A goal would be removed with its ledger, and there is nobody to ask; nothing was changed.",
            code="NOT_CONFIRMED",
            hint="Look at the plan with --plan, then add --yes.",
        )
    return True


def _deploy(terminal: Terminal, connections: list[Connection]) -> list[str]:
    """Again even where nothing changed: somebody may have deleted one in Prefect."""
    if not connections:
        return []
    if not os.environ.get("PREFECT_API_URL"):
        terminal.note("Prefect was left alone: PREFECT_API_URL is not set")
        return []
    from deployments.started_runs import deploy

    names = deploy(connections)
    for connection in connections:
        flows = [name.partition("/")[0] for name in names if name.endswith(f"/{connection.name}")]
        terminal.note(f"deployments of {connection.name} in Prefect: {', '.join(flows)}")
    return names
