"""Keys for one purpose each, out of the one secret that an installation keeps for its API."""

from __future__ import annotations

from hashlib import blake2b

from pydantic import SecretStr

from headrace.errors import TerminalError

KEY_BYTES = 32


def derived_key(master: SecretStr, purpose: str) -> bytes:
    """32 bytes. Raises TerminalError where the master key is none: nothing is ever sealed or signed with a key that anybody knows."""
    try:
        key = bytes.fromhex(master.get_secret_value())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise TerminalError(
            "HEADRACE_API_MASTER_KEY is not set, or is no key.",
            code="NO_MASTER_KEY",
            hint=f"Set it to {2 * KEY_BYTES} hex characters, like `openssl rand -hex {KEY_BYTES}` prints, and keep it: another one opens nothing.",
        )
    return blake2b(purpose.encode(), key=key, person=b"headrace-purpose", digest_size=KEY_BYTES).digest()
