"""New and changed segments, built; and all of them, proven: as Prefect flows (SPEC S5). Orchestration only.

Materializing is Completed when nothing is left to be built but what waits behind imports. Proving is Failed where membership has drifted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from tasks.markdown import as_code, as_table
from tasks.segments import domains_with_segments, materialize, prove

_Done = TypeVar("_Done")


@flow(name="materialize-segments", persist_result=False)
def materialize_segments(domain: str = "") -> State[None]:
    """Builds new and changed segments over all profiles, while imports go on; each is swapped in whole. Nothing to build is the usual case.

    Args:
        domain: Name of a domain. Left empty: all.
    """
    try:
        done, failed = _of_each(domains_with_segments(domain), materialize)
    except HeadraceError as error:
        return Failed(message=str(error))
    built = [f"{one.domain}/{name}" for one in done for name in one.built]
    waiting = [f"{one.domain}/{name}" for one in done for name in one.waiting]
    said = f"Built: {', '.join(built)}." if built else "Nothing was to be built."
    said += f" Waiting behind imports: {', '.join(waiting)}." if waiting else ""
    return Failed(message=" ".join([said, *failed])) if failed else Completed(message=said)


@flow(name="prove-segments", persist_result=False)
def prove_segments(domain: str = "") -> State[None]:
    """Holds the members of every segment against a full evaluation, while imports go on, and reports drift; there must be none.

    Args:
        domain: Name of a domain. Left empty: all.
    """
    try:
        proofs, failed = _of_each(domains_with_segments(domain), prove)
    except HeadraceError as error:
        return Failed(message=str(error))
    rows = []
    for proof in proofs:
        for name, members in proof.members.items():
            drifts = [one for one in proof.drifts if one.segment == name]
            missing, strange = sum(one.missing for one in drifts), sum(one.strange for one in drifts)
            rows.append((as_code(proof.domain), as_code(name), f"{members:,}", f"{missing:,}", f"{strange:,}"))
    drifted = sum(bool(proof.drifts) for proof in proofs)
    said = (
        f"Membership has drifted in {drifted} domains."
        if drifted
        else f"{len(rows)} segments, {sum(one.profiles for one in proofs):,} profiles: no drift."
    )
    table = as_table(("Domain", "Segment", "Members", "Missing", "Not members"), rows) if rows else "No domain has segments."
    create_markdown_artifact(f"## Proof of segments\n\n**{said}**\n\n{table}\n", key="segments-proof", description=said)
    return Failed(message=" ".join([said, *failed])) if drifted or failed else Completed(message=said)


def _of_each(domains: list[str], work: Callable[[str], _Done]) -> tuple[list[_Done], list[str]]:
    """And of those that failed, why: they keep no other from its turn."""
    done, failed = list[_Done](), list[str]()
    for name in domains:
        try:
            done.append(work(name))
        except HeadraceError as error:
            failed.append(f"Domain {name}: {error}")
    return done, failed
