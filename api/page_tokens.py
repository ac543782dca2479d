"""Where a list goes on: signed, and bound to the list that it was given for. A client can neither make one nor use it elsewhere (U1, S1)."""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256

from api.errors import bad_request

_SIGNATURE_BYTES = 16


class PageTokens:
    """`scope`: the operation with all that the list depends on (domain, filters); `place`: where the next page begins."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, scope: str, place: str) -> str:
        return base64.urlsafe_b64encode(self._signature(scope, place) + place.encode()).decode()

    def read(self, scope: str, token: str) -> str:
        """Raises ApiError BadRequestException for one that is forged, or of another list."""
        try:
            place = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)[_SIGNATURE_BYTES:].decode()
        except (binascii.Error, ValueError):
            raise _no_token() from None
        if not hmac.compare_digest(token, self.sign(scope, place)):
            raise _no_token()
        return place

    def _signature(self, scope: str, place: str) -> bytes:
        signed = f"{len(scope)}:{scope}{place}".encode()
        return hmac.digest(self._key, signed, sha256)[:_SIGNATURE_BYTES]


def _no_token() -> Exception:
    return bad_request("NextToken is not one that this list gave; begin the list anew, without it.")
