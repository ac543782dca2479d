"""Where a profile lives: the address of an identifier value, and the partition of an address.

The address is the same in every domain size: nothing here depends on the number of partitions but `partition_of`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

ADDRESS_BYTES = 16
PROFILE_IDENTIFIER = "profile_identifier"
"""Spelled in a link instead of a property name: the column holds profile identifiers (32 hex characters)."""


def domain_key(domain: str, secret: str) -> bytes:
    """The 32-byte key of a new domain's addresses.

    From the name and the installation's secret, so that the same files give the same profile identifiers in a domain that is built again.
    """
    return blake2b(domain.encode(), key=secret.encode()[:64], person=b"headrace-domain", digest_size=32).digest()


def addresses_of(key: bytes, property_name: str, values: Iterable[str]) -> list[bytes]:
    """The 16-byte addresses of normalised identifier values, in order."""
    base = blake2b(property_name.encode() + b"\0", key=key, digest_size=ADDRESS_BYTES)
    found = []
    for value in values:
        state = base.copy()
        state.update(value.encode())
        found.append(state.digest())
    return found


def address_of(key: bytes, property_name: str, value: str) -> bytes:
    """The 16-byte address of one normalised identifier value."""
    return addresses_of(key, property_name, (value,))[0]


def unpacked_addresses(packed: bytes) -> list[bytes]:
    """Addresses that lie one behind the other, each on its own."""
    return [packed[place : place + ADDRESS_BYTES] for place in range(0, len(packed), ADDRESS_BYTES)]


NOBODY = bytes(ADDRESS_BYTES)
"""The profile identifier of no profile: in the lists of a partition it stands where a profile was erased."""


def profile_identifier_of(text: str) -> bytes | None:
    """The 16 bytes of a profile identifier (32 hex characters, any case, surrounding blanks ignored), or None if it is not one, as 32 zeros are not."""
    text = text.strip()
    if len(text) != 2 * ADDRESS_BYTES:
        return None
    try:
        found = bytes.fromhex(text) if text.isalnum() else NOBODY
    except ValueError:
        return None
    return None if found == NOBODY else found


def partition_of(address: bytes, partitions: int) -> int:
    """The partition, 0 to `partitions` - 1, that owns an address."""
    return int.from_bytes(address[:8], "little") % partitions
