"""A real SMTP server that keeps what it is sent."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from deployments.embedded.processes import LOOPBACK, free_port

USER, PASSWORD = "headrace", "a password of the mail server's"
NOBODY = "nobody@example.com"
"""Whose mail the server does not take."""


@dataclass
class Mailbox:
    """`mails`: (recipients, message) in the order of their arrival. `answers`: what it says to the next mails instead of taking them."""

    port: int
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if address == NOBODY:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.answers:
            return self.answers.pop(0)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), message))
        return "250 OK"


@contextmanager
def smtp_server(context: ssl.SSLContext | None = None, *, starttls: bool = False) -> Iterator[Mailbox]:
    """`context`: with TLS from the first byte, or after STARTTLS, and a password asked for; None: whoever comes may send."""
    mailbox = Mailbox(free_port())

    def authenticate(_server: Any, _session: Any, _envelope: Any, mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known, handled=known or mechanism == "unknown")

    class Secured(Controller):
        def factory(self) -> SMTP:
            if context is None:
                return SMTP(mailbox)
            return SMTP(
                mailbox,
                tls_context=context if starttls else None,
                require_starttls=starttls,
                authenticator=authenticate,
                auth_required=True,
                auth_require_tls=starttls,
            )

    controller = Secured(mailbox, LOOPBACK, mailbox.port, ssl_context=context if not starttls else None)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
