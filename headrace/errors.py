"""What can go wrong, by type: the type says whether trying again can help.

Expected failures of rows and cells are values (`headrace.outcomes`), never exceptions. An exception is an outage, a refusal or a bug.
"""

from __future__ import annotations


class HeadraceError(Exception):
    """Something Headrace reports to a person: what happened, where, why, and what to do.

    `code` is stable and upper case (`SOURCE_CHANGED`); the message carries no personal data and no secret.
    """

    code = "ERROR"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" {self.hint}" if self.hint else "")


class TransientError(HeadraceError):
    """An outage: a server does not answer, is full, or is moving. Pause, then try again; nothing is lost by waiting."""

    code = "UNAVAILABLE"


class TerminalError(HeadraceError):
    """Trying again changes nothing: a person, or another file, has to."""

    code = "FAILED"


class SourceChangedError(TerminalError):
    """The object was replaced or deleted while it was read (SPEC I12)."""

    code = "SOURCE_CHANGED"


class UnsupportedFormatError(TerminalError):
    """A format number newer than this release, or a file of a kind that is not read (zip)."""

    code = "UNSUPPORTED_FORMAT"


class ConfigurationError(TerminalError):
    """A file or setting that does not say what it must. `problems` holds one line each: file, line, key path, what is wrong, what to do."""

    code = "CONFIGURATION"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
