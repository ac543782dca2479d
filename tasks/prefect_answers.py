"""What Prefect's server refuses, or does not answer, as Headrace's errors. Not a task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from headrace.errors import TerminalError, TransientError


@contextmanager
def answering() -> Iterator[None]:
    """Prefect's outages and refusals as ours."""
    try:
        yield
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise TerminalError(
                f"Prefect refused the request ({status}).", code="PREFECT_DENIED", hint="Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING."
            ) from None
        raise TransientError(f"Prefect answered {status}.", code="PREFECT_UNAVAILABLE", hint="The log of its server says more.") from None
    except (httpx.HTTPError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "Failed to reach API" not in str(error):
            raise
        raise TransientError(
            f"Prefect does not answer ({type(error).__name__}).",
            code="PREFECT_UNAVAILABLE",
            hint="Check PREFECT_API_URL, and that its server runs.",
        ) from None
