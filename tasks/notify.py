"""A mail about a run that has ended, to whom its connection lists (SPEC C6)."""

from __future__ import annotations

from collections.abc import Mapping

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from headrace.errors import HeadraceError, TransientError
from headrace.settings import MailSettings
from profile_store import registry
from profile_store.runs import RunRecord
from profile_store.store import Store
from tasks.mail import mail_about, send, wants_mail

_ATTEMPTS = 4


def notify(store: Store, run: RunRecord, reasons: Mapping[str, int], link: str = "") -> str:
    """What became of it, for the log; empty where nobody is to be told. Raises nothing of ours: the run has ended as it ended.

    `reasons`: codes of its first rejects, counted; `link`: of its page in the Prefect UI. A server that can't take it now is asked again for some seconds.
    """
    try:
        notifications = registry.get_connection(store, run.connection).notifications
        if not wants_mail(notifications, run):
            return ""
        settings = MailSettings()
        if not settings.host:
            return f"no mail: connection {run.connection} lists addresses, and HEADRACE_MAIL_HOST is not set here"
        again = retry_if_exception_type(TransientError)
        for attempt in Retrying(retry=again, stop=stop_after_attempt(_ATTEMPTS), wait=wait_exponential(1, max=10), reraise=True):
            with attempt:
                send(settings, notifications.emails, mail_about(run, reasons, link))
    except HeadraceError as error:
        return f"no mail: {error}"
    return f"mailed to {len(notifications.emails)} addresses"
