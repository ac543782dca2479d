"""`headrace segment …`, as a person types it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.command import Json, run_on_servers

segment_app = typer.Typer(help="Look at segments, build and prove them.", no_args_is_help=True)

DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help="Name of an applied domain.", show_default=False)]
SegmentName = Annotated[str, typer.Argument(metavar="SEGMENT", help="Name of one of its segments.", show_default=False)]


@segment_app.command("list")
def segment_list(domain: DomainName, as_json: Json = False) -> None:
    """Show a domain's segments, and how many members each has."""
    from headrace.cli.segment import list_segments

    run_on_servers(as_json, lambda terminal: list_segments(terminal, domain))


@segment_app.command("count")
def segment_count(domain: DomainName, segment: SegmentName, as_json: Json = False) -> None:
    """Count the members of a segment."""
    from headrace.cli.segment import count_segment

    run_on_servers(as_json, lambda terminal: count_segment(terminal, domain, segment))


@segment_app.command("members")
def segment_members(
    domain: DomainName,
    segment: SegmentName,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """Show members of a segment, with their values."""
    from headrace.cli.segment import show_members

    run_on_servers(as_json, lambda terminal: show_members(terminal, domain, segment, most))


@segment_app.command("membership")
def segment_membership(
    domain: DomainName,
    segment: SegmentName,
    profiles: Annotated[list[str], typer.Argument(metavar="ID…", help="Profile identifiers, 100 at most.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Say which of some profiles are in a segment."""
    from headrace.cli.segment import show_membership

    run_on_servers(as_json, lambda terminal: show_membership(terminal, domain, segment, profiles))


@segment_app.command("estimate")
def segment_estimate(
    file: Annotated[Path, typer.Argument(help="A segment file (YAML); it is not applied.", show_default=False)],
    sample: Annotated[int, typer.Option(min=0, help="Look at about so many profiles; 0: at all of them.")] = 0,
    as_json: Json = False,
) -> None:
    """Say how many members a definition would have; nothing is changed."""
    from headrace.cli.segment import show_estimate

    run_on_servers(as_json, lambda terminal: show_estimate(terminal, file, sample))


@segment_app.command("snapshot")
def segment_snapshot(
    domain: DomainName,
    segment: SegmentName,
    to: Annotated[str, typer.Argument(metavar="s3://BUCKET/KEY", help="Ends in .csv, .jsonl or .orc, which says how.", show_default=False)],
    connection: Annotated[str, typer.Option(help="Whose S3; nothing: that of HEADRACE_S3_*.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Write the members of a segment, with all their values, to S3."""
    from headrace.cli.segment import write_members

    run_on_servers(as_json, lambda terminal: write_members(terminal, domain, segment, to, connection))


@segment_app.command("materialize")
def segment_materialize(domain: DomainName, as_json: Json = False) -> None:
    """Build new and changed segments now, in this process; the deployment materialize-segments does it by itself.

    Fails where one is still to be built, since its change waits behind imports.
    """
    from headrace.cli.segment import materialize_domain

    run_on_servers(as_json, lambda terminal: materialize_domain(terminal, domain))


@segment_app.command("prove")
def segment_prove(domain: DomainName, as_json: Json = False) -> None:
    """Hold every member of every segment against a full evaluation; fails where they differ."""
    from headrace.cli.segment import prove_domain

    run_on_servers(as_json, lambda terminal: prove_domain(terminal, domain))


@segment_app.command("delete")
def segment_delete(domain: DomainName, segment: SegmentName, as_json: Json = False) -> None:
    """Delete a segment. Its name is free again at once."""
    from headrace.cli.segment import delete_segment

    run_on_servers(as_json, lambda terminal: delete_segment(terminal, domain, segment))
