"""`headrace profile get`: one profile, by its profile identifier or by the value of an identifier property."""

from __future__ import annotations

from headrace.address import address_of, profile_identifier_of
from headrace.cells import CellFormat, read_identifier
from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal, table
from headrace.errors import TerminalError
from headrace.outcomes import Reason
from profile_store import registry
from profile_store.profiles import StoredProfile, read_profile
from profile_store.registry import StoredDomain


def show_profile(terminal: Terminal, domain: str, identifier: str, value: str) -> bool:
    """One of `identifier` and `value` (`property=value`) is given."""
    with opened_store() as store:
        stored = registry.get_domain(store, domain)
        address = address_in(stored, identifier, value)
        profile = read_profile(store, stored, address)
    if profile is None:
        # The value is not repeated: it may be an e-mail address, and errors end up in logs.
        raise TerminalError(
            f"Domain {domain} has no such profile.",
            code="NO_SUCH_PROFILE",
            hint="Values match exactly, capitals and leading zeros included.",
        )
    terminal.document({"domain": domain, "identifier": profile.identifier, "values": profile.values})
    terminal.say(f"profile {profile.identifier} of domain {domain}", style="bold")
    terminal.show(table(("property", "value"), _rows(profile)))
    return True


def address_in(domain: StoredDomain, identifier: str, value: str) -> bytes:
    """Of a profile identifier, or else of `property=value`. Raises TerminalError."""
    return _of_identifier(identifier) if identifier else _of_value(domain, value)


def _rows(profile: StoredProfile) -> list[tuple[str, str]]:
    return [(name, value if isinstance(value, str) else ", ".join(value)) for name, value in profile.values.items()]


def _of_identifier(text: str) -> bytes:
    found = profile_identifier_of(text)
    if found is None:
        raise TerminalError(
            "This is no profile identifier.", code="INVALID_IDENTIFIER", hint="It has 32 characters of 0-9 and a-f, not all of them 0."
        )
    return found


def _of_value(domain: StoredDomain, written: str) -> bytes:
    name, _, text = written.partition("=")
    found = domain.schema.find(name)
    if found is None or not found.identifier:
        there = ", ".join(one.name for one in domain.schema.active if one.identifier) or "none"
        what = "no property" if found is None else "a property that is no identifier,"
        raise TerminalError(
            f"Domain {domain.name} has {what} {name}; its identifiers: {there}.",
            code="NO_SUCH_IDENTIFIER",
            hint="Profiles are found by an identifier only.",
        )
    value = read_identifier(found.type, text, CellFormat())
    if value is None or isinstance(value, Reason):
        raise TerminalError(
            f"The value is no {found.type} that {name} could have.", code="INVALID_IDENTIFIER", hint="Check what stands behind the =."
        )
    return address_of(bytes.fromhex(domain.address_key), name, value)
