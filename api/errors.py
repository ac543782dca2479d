"""What a call is refused with: an error of the customer-profiles model, or one of AWS' common errors."""

from __future__ import annotations

from headrace.errors import ConfigurationError, HeadraceError, TransientError


class ApiError(Exception):
    """`code`: as clients know it; `message`: for people, without personal data or secrets; `after`: seconds until it is told."""

    def __init__(self, code: str, status: int, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message
        self.after = after


def bad_request(message: str) -> ApiError:
    return ApiError("BadRequestException", 400, message)


def not_found(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", 404, message)


def conflict(message: str) -> ApiError:
    """Not in the model, but what clients get (SPEC S1)."""
    return ApiError("ConflictException", 409, message)


def denied(message: str) -> ApiError:
    return ApiError("AccessDeniedException", 403, message)


def throttled(message: str, after: float = 0.0) -> ApiError:
    return ApiError("ThrottlingException", 429, message, after)


def of_headrace(error: HeadraceError) -> ApiError | None:
    """What a client is told of an error of ours; None where it is our own trouble."""
    if isinstance(error, TransientError):
        return ApiError("ServiceUnavailableException", 503, "A server that Headrace needs does not answer now; try again.")
    if isinstance(error, ConfigurationError):
        return bad_request("; ".join(error.problems))
    if error.code == "NO_SUCH_DOMAIN":
        return not_found("There is no such domain.")  # which ones there are is not for everybody
    if error.code == "NO_SUCH_SEGMENT":
        return not_found(error.message)
    if error.code == "SEGMENT_NOT_READY":
        return bad_request("The segment is still being built for the first time; ask again in a moment.")
    return None
