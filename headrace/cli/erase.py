"""`headrace profile erase`: one profile, for good or until a file brings it back (SPEC P2). For operators: nothing in Prefect starts it."""

from __future__ import annotations

from dataclasses import replace

from headrace.cli.profile import address_in
from headrace.cli.progress import progress_bar
from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal
from profile_store import audit, registry, sequence
from streaming.importing.await_turn import finish
from streaming.importing.erase import register_erasure


def erase_profile(terminal: Terminal, domain: str, identifier: str, value: str, *, suppress: bool) -> bool:
    """Returns when the domain's workers have erased it, behind everything that was registered before.

    Whether all of it went: False where there was no such profile, or where its rejects could not be looked through.
    """
    with opened() as context:
        stored = registry.get_domain(context.store, domain)
        registration = register_erasure(context, domain, address_in(stored, identifier, value), suppress)
        # By its number alone: whose profile it was is nobody's business any more.
        audit.note(context.store, "erase", f"domain {domain}", import_seq=registration.import_seq, suppress=suppress)
        with progress_bar(terminal) as draw:
            shown = replace(context, report=lambda progress: draw(None, f"erasing: {progress.phase} {progress.detail}"))
            result = finish(shown, registration, sequence.fresh_owner())
    erased = result.outcomes.updated == 1
    terminal.document(
        {"domain": domain, "erased": erased, "suppressed": suppress, "import_seq": registration.import_seq, "left": result.reason}
    )
    if erased:
        terminal.say("erased, with everything that led to it", style="green")
    else:
        terminal.say("there was no such profile", style="bold")
    if suppress:
        terminal.say("its identifiers are suppressed: no file brings them back")
    if result.reason:
        terminal.warn(result.reason)
    return (erased or suppress) and not result.reason
