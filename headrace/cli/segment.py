"""What `headrace segment …` does: counts, members, membership, estimates, snapshots; building and proving (SPEC S5, S6)."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from headrace.address import profile_identifier_of
from headrace.cli.progress import progress_bar
from headrace.cli.servers import access_of, opened, opened_store, settings
from headrace.cli.terminal import Terminal, table
from headrace.connections import S3Location
from headrace.errors import ConfigurationError, TerminalError
from headrace.segments import Segment
from headrace.yaml_source import load_file
from profile_store import audit, registry
from profile_store.membership import MOST_ASKED, count_members, membership_of
from profile_store.segment_registry import StoredSegment, find_segment, segments_of
from profile_store.store import Store

if TYPE_CHECKING:
    from streaming.segments.members import SnapshotFormat

FORMATS = ("csv", "jsonl", "orc")


def list_segments(terminal: Terminal, domain: str) -> bool:
    with opened_store() as store:
        partitions = registry.get_domain(store, domain).partitions
        found = [(one, _count(store, domain, partitions, one)) for one in segments_of(store, domain)]
    terminal.document({"domain": domain, "segments": [{"name": one.name, "members": count, "state": _state(one)} for one, count in found]})
    if not found:
        terminal.say(f"domain {domain} has no segments")
        return True
    rows = [(one.name, one.definition.display_name, "" if count is None else f"{count:,}", _state(one)) for one, count in found]
    terminal.show(table(("segment", "called", "members", "state"), rows, numbers=("members",)))
    return True


def _state(one: StoredSegment) -> str:
    if one.live is None:
        return "to be built"
    return "live" if one.is_current else "live as it was; the change is to be built"


def _count(store: Store, domain: str, partitions: int, one: StoredSegment) -> int | None:
    return None if one.live is None else count_members(store, domain, partitions, one.id)


def count_segment(terminal: Terminal, domain: str, segment: str) -> bool:
    with opened_store() as store:
        partitions = registry.get_domain(store, domain).partitions
        count = count_members(store, domain, partitions, find_segment(store, domain, segment).id)
    terminal.document({"domain": domain, "segment": segment, "members": count})
    terminal.say(f"{count:,}")
    return True


def show_members(terminal: Terminal, domain: str, segment: str, most: int) -> bool:
    from streaming.segments.members import each_member

    with opened_store() as store:
        stored = registry.get_domain(store, domain)
        members = list(islice(each_member(store, stored, find_segment(store, domain, segment)), most))
    terminal.document({"domain": domain, "segment": segment, "members": [asdict(one) for one in members]})
    names = [one.name for one in stored.schema.active if any(one.name in member.values for member in members)]
    rows = []
    for member in members:
        values = (member.values.get(name, "") for name in names)
        rows.append((member.identifier, *(value if isinstance(value, str) else ", ".join(value) for value in values)))
    terminal.show(table(("profile identifier", *names), rows))
    return True


def show_membership(terminal: Terminal, domain: str, segment: str, profiles: list[str]) -> bool:
    """Raises TerminalError for what is no profile identifier."""
    if len(profiles) > MOST_ASKED:
        raise TerminalError(f"{len(profiles)} profiles are too many at once.", code="TOO_MANY", hint=f"Ask for {MOST_ASKED} at most.")
    addresses = [profile_identifier_of(one) for one in profiles]
    wanted = [one for one in addresses if one is not None]
    if len(wanted) < len(addresses):
        raise TerminalError(
            "One of these is no profile identifier.",
            code="INVALID_IDENTIFIER",
            hint="It has 32 characters of 0-9 and a-f, not all of them 0.",
        )
    with opened_store() as store:
        partitions = registry.get_domain(store, domain).partitions
        found = membership_of(store, domain, partitions, find_segment(store, domain, segment).id, wanted)
    terminal.document({"domain": domain, "segment": segment, "members": {one.hex(): found[one] for one in found}})
    said = {True: "is a member", False: "is none", None: "there is no such profile"}
    terminal.show(table(("profile identifier", "membership"), [(one.hex(), said[is_member]) for one, is_member in found.items()]))
    return True


def show_estimate(terminal: Terminal, file: Path, sample: int) -> bool:
    from streaming.segments.estimate import estimate

    definition = load_file(file)
    if not isinstance(definition, Segment):
        raise ConfigurationError([f"{file}: defines a {definition.kind}; name a segment's file"])
    with opened_store() as store:
        found = estimate(store, registry.get_domain(store, definition.domain), definition, sample)
    terminal.document({"domain": definition.domain, "members": found.estimated, "exact": found.is_exact, "looked_at": found.looked_at})
    about = "" if found.is_exact else "about "
    terminal.say(f"{about}{found.estimated:,} members; {found.looked_at:,} profiles were looked at")
    return True


def write_members(terminal: Terminal, domain: str, segment: str, to: str, connection: str) -> bool:
    """Raises TerminalError where `to` says neither where nor how."""
    from object_store.store import ObjectStore
    from streaming.segments.members import each_member, write_snapshot

    bucket, _, key = to.removeprefix("s3://").partition("/")
    kind = key.rpartition(".")[2]
    if not to.startswith("s3://") or not bucket or kind not in FORMATS:
        raise TerminalError(
            "This says not where to write, and how.",
            code="INVALID_TARGET",
            hint=f"Write s3://BUCKET/KEY, ending in .{', .'.join(FORMATS)}.",
        )
    with opened_store() as store:
        location = registry.get_connection(store, connection).s3 if connection else S3Location()
        stored = registry.get_domain(store, domain)
        members = each_member(store, stored, find_segment(store, domain, segment))
        count = write_snapshot(ObjectStore(access_of(location, settings().s3)), bucket, key, members, stored, cast("SnapshotFormat", kind))
        audit.note(store, "snapshot", f"segment {domain}/{segment}", members=count, to=to)
    terminal.document({"domain": domain, "segment": segment, "members": count, "to": to})
    terminal.say(f"{count:,} members written to {to}", style="green")
    return True


def materialize_domain(terminal: Terminal, domain: str) -> bool:
    """Whether every segment is as it is defined."""
    from streaming.importing.apply_segments import follow_schema
    from streaming.segments.materialize import materialize

    with opened() as context, progress_bar(terminal) as draw:
        follow_schema(context, domain)
        done = materialize(context.store, domain, lambda at, of: draw(100.0 * at / of, f"{at} of {of} partitions"))
    terminal.document(asdict(done))
    if done.built:
        terminal.say(f"built over {done.profiles:,} profiles: {', '.join(done.built)}", style="green")
    elif not done.waiting:
        terminal.say("every segment is as it is defined; nothing was to be built", style="green")
    if done.waiting:
        terminal.warn(f"still to be built, since the change waits behind imports: {', '.join(done.waiting)}")
    return not done.waiting


def prove_domain(terminal: Terminal, domain: str) -> bool:
    from streaming.segments.proof import prove

    with opened_store() as store, progress_bar(terminal) as draw:
        proof = prove(store, domain, lambda at, of: draw(100.0 * at / of, f"{at} of {of} partitions"))
    terminal.document(asdict(proof))
    rows = [(one.segment, str(one.partition), f"{one.missing:,}", f"{one.strange:,}") for one in proof.drifts]
    if rows:
        terminal.show(table(("segment", "partition", "members missing", "not members"), rows, numbers=("members missing", "not members")))
        terminal.warn(
            "membership has drifted; this is a bug of Headrace, please report it. `headrace apply` of a changed definition builds anew."
        )
    else:
        terminal.say(f"{proof.profiles:,} profiles, {len(proof.members)} segments: every member is one, and no other", style="green")
    return not proof.drifts


def delete_segment(terminal: Terminal, domain: str, segment: str) -> bool:
    """Raises ConfigurationError where other segments are made of it."""
    from streaming.importing.apply_segments import change_segments
    from streaming.importing.segment_change import planned_change

    with opened() as context:
        find_segment(context.store, domain, segment)
        planned_change(context, registry.get_domain(context.store, domain), (), (segment,))  # what is refused is not in the audit trail
        audit.note(context.store, "delete", f"segment {domain}/{segment}")
        change_segments(context, domain, (), (segment,))
    terminal.document({"domain": domain, "segment": segment, "deleted": True})
    terminal.say(f"segment {segment} of domain {domain} is deleted", style="green")
    return True
