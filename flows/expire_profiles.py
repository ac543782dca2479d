"""Profiles that are not kept any more, removed: as a Prefect flow (SPEC U11). Orchestration only."""

from __future__ import annotations

from prefect import State, flow
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from tasks.expiry import domains_with_expired, expire_domain


@flow(name="expire-profiles", persist_result=False)
def expire_profiles(domain: str = "") -> State[None]:
    """Removes the profiles whose upload jobs said how long to keep them, and whose time is over. Nothing to remove is the usual case.

    Args:
        domain: Name of a domain. Left empty: all.
    """
    try:
        gone = {name: expire_domain(name) for name in domains_with_expired(domain)}
    except HeadraceError as error:
        return Failed(message=str(error))
    said = ", ".join(f"{number:,} of {name}" for name, number in gone.items())
    return Completed(message=f"Expired: {said}." if said else "Nothing has expired.")
