"""Secrets sealed at rest, and links that can't be made up, by keys of the installation (`headrace.master_key`). SPEC U5."""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace.errors import TerminalError

_NONCE_BYTES = 12


def seal(key: bytes, secret: bytes, about: str) -> str:
    """A text that `unseal` opens with the same key (32 bytes) for the same `about`, and nobody else."""
    nonce = os.urandom(_NONCE_BYTES)
    return urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, secret, about.encode())).decode()


def unseal(key: bytes, sealed: str, about: str) -> bytes:
    """Raises TerminalError OTHER_MASTER_KEY: it is of another key, or about something else."""
    try:
        data = urlsafe_b64decode(sealed)
        return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], about.encode())
    except (InvalidTag, ValueError):
        raise TerminalError(
            f"What is sealed about {about} can't be opened.",
            code="OTHER_MASTER_KEY",
            hint="HEADRACE_API_MASTER_KEY must be the one that it was sealed with, in the API and where flows run.",
        ) from None


def signature(key: bytes, *said: str) -> str:
    """64 hex characters, of all these texts in this order."""
    message = b"".join(len(one.encode()).to_bytes(4, "big") + one.encode() for one in said)
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def is_signed(given: str, key: bytes, *said: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(given.encode(), signature(key, *said).encode())
