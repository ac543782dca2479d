"""Mails about runs, to a real SMTP server (SPEC C6)."""

from __future__ import annotations

import pytest

from headrace.connections import Notifications
from headrace.errors import TerminalError, TransientError
from headrace.settings import MailSettings
from profile_store.runs import RunFile, RunRecord, RunState
from tasks.mail import mail_about, send, wants_mail
from tests.servers.secured import Authority
from tests.servers.smtp import NOBODY, PASSWORD, USER, smtp_server

pytestmark = pytest.mark.spec("C6")

TO = ("ops@example.com", "crm@example.com")


def run(state: RunState = "COMPLETE", rejected: int = 0, cells: int = 0, reason: str = "1 file imported.") -> RunRecord:
    outcomes = {"created": 7, "updated": 2, "unchanged": 1, "skipped": 0, "rejected": rejected, "cells": cells}
    file = RunFile(
        "crm", "in/a.csv", 4, "COMPLETE", 10 + rejected, outcomes, 1.5, "in/_headrace/rejects/4.csv" if rejected or cells else None
    )
    return RunRecord("run-1", "crm", "", state, "2026-11-22T01:00:00.000Z", "2026-11-22T01:00:02.500Z", reason, [file])


@pytest.mark.parametrize(
    ("told", "happened", "mailed"),
    [
        ({}, run(), False),
        ({}, run("FAILED"), True),
        ({}, run(rejected=1), True),
        ({}, run(cells=1), True),
        ({}, run("NOTHING_TO_DO"), False),
        ({"on_success": True}, run(), True),
        ({"on_success": True}, run("NOTHING_TO_DO"), False),
        ({"on_success": True}, run("FAILED"), True),
        ({"on_error": False}, run("FAILED"), False),
        ({"emails": []}, run("FAILED"), False),
    ],
)
def test_who_is_told_of_what(told: dict[str, object], happened: RunRecord, mailed: bool) -> None:
    assert wants_mail(Notifications.model_validate({"emails": TO, **told}), happened) is mailed


def test_a_mail_names_the_run_the_counts_and_the_first_reasons() -> None:
    with smtp_server() as mailbox:
        settings = MailSettings(host="127.0.0.1", port=mailbox.port, security="none", sender="headrace@example.com")
        happened = run(rejected=3, cells=2)
        send(settings, TO, mail_about(happened, {"NOT_A_DATE": 2, "NO_IDENTIFIER": 3}, "http://prefect/runs/run-1"))
    [(recipients, message)] = mailbox.mails
    text = message.get_content()
    assert recipients == list(TO)
    assert message["From"] == "headrace@example.com"
    assert message["Subject"] == "Headrace: crm imported 13 rows, rejected 3 rows and 2 cells"
    assert "Run:        run-1" in text
    assert "Took:       2.5 s" in text
    assert "13 rows: 7 created, 2 updated, 1 unchanged, 0 skipped, 3 rejected; 2 cells rejected." in text
    assert "s3://crm/in/a.csv: COMPLETE, 13 rows" in text
    assert "rejects: s3://crm/in/_headrace/rejects/4.csv" in text
    assert text.index("3 × NO_IDENTIFIER: The link column is blank") < text.index("2 × NOT_A_DATE: Not a date")
    assert "http://prefect/runs/run-1" in text


def test_a_run_that_failed_says_why() -> None:
    message = mail_about(run("FAILED", reason="0 of 1 file imported. s3://crm/in/a.csv: SOURCE_CHANGED: it was replaced."), {})
    assert message["Subject"] == "Headrace: crm failed"
    assert "SOURCE_CHANGED: it was replaced." in message.get_content()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def secured(authority: Authority, port: int, **changed: str) -> MailSettings:
    written = {"host": "127.0.0.1", "port": str(port), "username": USER, "password": PASSWORD, "ca_file": str(authority.ca_file)}
    return MailSettings.model_validate({**written, "sender": "headrace@example.com", **changed})


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the server does not see that all of it is TLS
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_over_tls_with_a_password(security: str, authority: Authority) -> None:
    with smtp_server(authority.server_context(), starttls=security == "starttls") as mailbox:
        send(secured(authority, mailbox.port, security=security), TO, mail_about(run(), {}))
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password": "another"}, "refused user and password"),
        ({"ca_file": ""}, "its certificate is not trusted"),
    ],
)
def test_who_is_not_let_in_is_told_without_the_password(changed: dict[str, str], said: str, authority: Authority) -> None:
    with smtp_server(authority.server_context(), starttls=True) as mailbox, pytest.raises(TerminalError, match=said) as caught:
        send(secured(authority, mailbox.port, **changed), TO, mail_about(run(), {}))
    assert "another" not in str(caught.value)
    assert mailbox.mails == []


def test_a_server_without_starttls_gets_no_mail_and_no_password(authority: Authority) -> None:
    with smtp_server() as mailbox, pytest.raises(TerminalError, match="STARTTLS"):
        send(secured(authority, mailbox.port), TO, mail_about(run(), {}))
    assert mailbox.mails == []


def test_an_address_that_is_refused_does_not_keep_the_others_from_their_mail() -> None:
    with smtp_server() as mailbox:
        settings = MailSettings(host="127.0.0.1", port=mailbox.port, security="none", sender="headrace@example.com")
        with pytest.raises(TerminalError, match="no mail for 1 of 2 addresses") as caught:
            send(settings, ("ops@example.com", NOBODY), mail_about(run(), {}))
    assert NOBODY not in str(caught.value)
    assert [recipients for recipients, _ in mailbox.mails] == [["ops@example.com"]]


@pytest.mark.parametrize(("answer", "kind"), [("452 try later", TransientError), ("554 never", TerminalError)])
def test_a_server_that_does_not_take_it(answer: str, kind: type[Exception]) -> None:
    with smtp_server() as mailbox:
        mailbox.answers.append(answer)
        settings = MailSettings(host="127.0.0.1", port=mailbox.port, security="none", sender="headrace@example.com")
        with pytest.raises(kind, match=answer[:3]):
            send(settings, TO, mail_about(run(), {}))


def test_a_server_that_does_not_answer() -> None:
    with smtp_server() as mailbox:
        port = mailbox.port
    settings = MailSettings(host="127.0.0.1", port=port, security="none", sender="headrace@example.com")
    with pytest.raises(TransientError, match="ConnectionRefusedError"):
        send(settings, TO, mail_about(run(), {}))
