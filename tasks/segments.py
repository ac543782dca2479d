"""Segments built and proven, a domain at a time."""

from __future__ import annotations

from profile_store import audit, registry
from profile_store.segment_registry import segments_of
from streaming.importing.apply_segments import follow_schema
from streaming.segments.materialize import Materialized
from streaming.segments.materialize import materialize as materialize_domain
from streaming.segments.proof import Proof
from streaming.segments.proof import prove as prove_domain
from tasks.opened import opened
from tasks.step import step


@step
def domains_with_segments(domain: str) -> list[str]:
    """`domain`, or all where it is empty, of those that have segments. Raises TerminalError where there is no such domain."""
    with opened() as context:
        names = [registry.get_domain(context.store, domain).name] if domain else registry.domain_names(context.store)
        return [name for name in names if segments_of(context.store, name)]


@step
def materialize(domain: str) -> Materialized:
    with opened() as context:
        follow_schema(context, domain)
        return materialize_domain(context.store, domain)


@step
def prove(domain: str) -> Proof:
    """What is found is in the audit trail, too."""
    with opened() as context:
        proof = prove_domain(context.store, domain)
        drifted = sorted({one.segment for one in proof.drifts})
        audit.note(
            context.store, "prove segments", f"domain {domain}", profiles=proof.profiles, segments=len(proof.members), drifted=drifted
        )
        return proof
