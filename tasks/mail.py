"""Mails about runs (SPEC C6): who gets one, what it says, how it is sent. Names, counts, codes and places only: no cell, no secret.

A mail that can't be sent changes nothing about its run.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage

from headrace.connections import Notifications
from headrace.errors import TerminalError, TransientError
from headrace.outcomes import Outcomes, Reason
from headrace.settings import MailSettings
from profile_store.runs import EXPORT, RunFile, RunRecord

_SECONDS = 20.0
_FILES, _REASONS = 20, 10
"""How many of each a mail shows."""


def wants_mail(notifications: Notifications, run: RunRecord) -> bool:
    """On errors: a run that failed, or rejected anything. On success: one that did something. A run that found nothing to do is no news."""
    if not notifications.emails or run.state in ("RUNNING", "NOTHING_TO_DO"):
        return False
    return notifications.on_error if _went_wrong(run) else notifications.on_success


def mail_about(run: RunRecord, reasons: Mapping[str, int], link: str = "") -> EmailMessage:
    """Without sender and recipients. `link`: of the run's page in the Prefect UI."""
    message = EmailMessage()
    message["Subject"] = f"Headrace: {run.connection} {_verdict(run)}"
    message.set_content("\n".join(_lines(run, reasons, link)) + "\n")
    return message


def send(settings: MailSettings, addresses: tuple[str, ...], message: EmailMessage) -> None:
    """Raises TransientError: the server does not take it now; TerminalError: it never will."""
    message["From"], message["To"] = settings.sender, ", ".join(addresses)
    try:
        with _connect(settings) as server:
            if settings.username:
                server.login(settings.username, settings.password.get_secret_value())
            refused = server.send_message(message)
    except ssl.SSLCertVerificationError as error:
        raise _denied(f"its certificate is not trusted ({error.verify_message})") from None
    except smtplib.SMTPNotSupportedError as error:
        raise _denied(str(error)) from None
    except smtplib.SMTPAuthenticationError:
        raise _denied("it refused user and password") from None
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except smtplib.SMTPResponseException as error:
        if error.smtp_code < 500:
            raise _unavailable(f"it answered {error.smtp_code}") from None
        raise _denied(f"it answered {error.smtp_code}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise _unavailable(type(error).__name__) from None
    if refused:
        # Addresses are personal data; how many is enough to look at the list.
        raise _denied(f"it takes no mail for {len(refused)} of {len(addresses)} addresses")


def _connect(settings: MailSettings) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=_SECONDS, context=context)
    server = smtplib.SMTP(settings.host, settings.port, timeout=_SECONDS)
    if settings.security == "starttls":
        server.starttls(context=context)
    return server


def _denied(why: str) -> TerminalError:
    return TerminalError(
        f"The SMTP server did not take the mail: {why}.", code="MAIL_DENIED", hint="Check HEADRACE_MAIL_* and the addresses."
    )


def _unavailable(why: str) -> TransientError:
    return TransientError(f"The SMTP server does not take mails now ({why}).", code="MAIL_UNAVAILABLE")


def _went_wrong(run: RunRecord) -> bool:
    counts = _counts(run)
    return run.state == "FAILED" or counts.rejected > 0 or counts.cells > 0 or any(file.left_out for file in run.files)


def _counts(run: RunRecord) -> Outcomes:
    return sum((file.counts for file in run.files), Outcomes())


def _verdict(run: RunRecord) -> str:
    if run.state == "FAILED":
        return "failed"
    counts, exports = _counts(run), [file for file in run.files if file.kind == EXPORT]
    parts = [f"exported {sum(file.exported for file in exports):,} profiles"] if exports else []
    if len(exports) < len(run.files):
        rejected = f", rejected {counts.rejected:,} rows and {counts.cells:,} cells" if counts.rejected or counts.cells else ""
        parts.insert(0, f"imported {counts.rows:,} rows{rejected}")
    return ", ".join(parts)


def _lines(run: RunRecord, reasons: Mapping[str, int], link: str) -> list[str]:
    counts = _counts(run)
    lines = [
        f"Connection: {run.connection}",
        f"Goal:       {run.goal or 'every active one'}",
        f"Run:        {run.run_id}",
        f"State:      {run.state}",
        f"Began:      {run.started}",
        f"Took:       {_seconds(run)}",
        *([f"Page:       {link}"] if link else []),
        "",
        run.reason,
        "",
        f"{counts.rows:,} rows: {counts.created:,} created, {counts.updated:,} updated, {counts.unchanged:,} unchanged,"
        f" {counts.skipped:,} skipped, {counts.rejected:,} rejected; {counts.cells:,} cells rejected.",
    ]
    for file in run.files[:_FILES]:
        lines += ["", f"s3://{file.bucket}/{file.key}: {file.state}, {_size(file)}"]
        lines += [f"  {file.reason}"] if file.reason else []
        lines += [f"  rejects: s3://{file.bucket}/{file.rejects_key}"] if file.rejects_key else []
    if len(run.files) > _FILES:
        lines += ["", f"… and {len(run.files) - _FILES:,} files more: `headrace runs {run.connection}`"]
    if reasons:
        first = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))[:_REASONS]
        lines += ["", "First reasons:", *(f"  {count:,} × {code}: {_meaning(code)}" for code, count in first)]
    return lines


def _size(file: RunFile) -> str:
    if file.kind != EXPORT:
        return f"{file.rows:,} rows"
    left_out = sum(file.left_out.values())
    missing = f", {left_out:,} values left out, since they hold the multi-value separator" if left_out else ""
    return f"{file.exported:,} of {file.available:,} available profiles{missing}"


def _meaning(code: str) -> str:
    return Reason(code).message if code in Reason.__members__ else ""


def _seconds(run: RunRecord) -> str:
    if not run.ended:
        return "unknown"
    return f"{(datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)).total_seconds():.1f} s"
