"""The pre-signed URL of an upload and the three headers that go with it (SPEC U5)."""

from __future__ import annotations

import base64
import hashlib
import string
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import TerminalError
from headrace.sealing import seal, unseal
from headrace.upload_urls import UploadRefusedError, key_of_upload, upload_path

SIGNING = b"s" * 32
NOW = 1_900_000_000.0
JOB = "0123456789abcdef" * 2
PATH = upload_path(SIGNING, "https://api.example.com", "retail", JOB, NOW)
QUERY = dict(parse_qsl(urlsplit(PATH.url).query))
PREFIX = "x-amz-server-side-encryption-customer-"


def headers(token: str = PATH.client_token) -> dict[str, str]:
    """As the source text makes them."""
    md5 = base64.b64encode(hashlib.md5(base64.b64decode(token)).digest()).decode()
    return {f"{PREFIX}algorithm": "AES256", f"{PREFIX}key": token, f"{PREFIX}key-md5": md5}


def key(
    query: dict[str, str] = QUERY, given: dict[str, str] | None = None, now: float = NOW, about: tuple[str, str] = ("retail", JOB)
) -> bytes:
    return key_of_upload(SIGNING, about, query, headers() if given is None else given, now)


@pytest.mark.spec("U5")
def test_the_token_is_a_fresh_256_bit_key_and_the_url_holds_for_15_minutes() -> None:
    assert urlsplit(PATH.url).path == f"/uploads/retail/{JOB}"
    assert PATH.valid_until == NOW + 15 * 60
    assert len(PATH.url) < 2048
    assert key() == base64.b64decode(PATH.client_token)
    assert len(key()) == 32
    assert key(now=NOW + 15 * 60) == key()
    assert upload_path(SIGNING, "https://api.example.com", "retail", JOB, NOW).client_token != PATH.client_token


@pytest.mark.spec("U5")
def test_after_its_time_it_is_refused() -> None:
    with pytest.raises(UploadRefusedError, match="expired"):
        key(now=NOW + 15 * 60 + 1)


@pytest.mark.spec("U5")
@pytest.mark.parametrize("about", [("retail2", JOB), ("retail", "f" * 32), ("retai", f"l{JOB}")])
def test_it_is_for_one_job(about: tuple[str, str]) -> None:
    with pytest.raises(UploadRefusedError, match="signature"):
        key(about=about)


@pytest.mark.spec("U5")
@pytest.mark.parametrize("name", [f"{PREFIX}algorithm", f"{PREFIX}key", f"{PREFIX}key-md5"])
@pytest.mark.parametrize(
    "value", [None, "", "aws:kms", "AES128", base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes(16)).decode(), "é"]
)
def test_each_header_has_to_be_there_and_right(name: str, value: str | None) -> None:
    given = headers() | ({} if value is None else {name: value})
    if value is None:
        del given[name]
    with pytest.raises(UploadRefusedError):
        key(given=given)


@pytest.mark.spec("U5")
def test_another_path_of_the_same_job_does_not_fit() -> None:
    other = upload_path(SIGNING, "https://api.example.com", "retail", JOB, NOW)
    with pytest.raises(UploadRefusedError, match="ClientToken"):
        key(given=headers(other.client_token))


@settings(max_examples=400)
@given(st.sampled_from(sorted(QUERY)), st.data())
@pytest.mark.spec("U5")
def test_no_changed_url_is_accepted(name: str, data: st.DataObject) -> None:
    value = QUERY[name]
    kind = data.draw(st.sampled_from(["change", "cut", "add", "drop"]))
    at = data.draw(st.integers(0, len(value) - 1))
    character = data.draw(st.sampled_from(string.ascii_lowercase + string.digits + "é-"))
    changed = {
        "change": value[:at] + character + value[at + 1 :],
        "cut": value[:at],
        "add": value[:at] + character + value[at:],
        "drop": "",
    }[kind]
    if changed == value:
        return
    with pytest.raises(UploadRefusedError):
        key(QUERY | {name: changed})


def test_what_is_sealed_opens_for_its_own_key_and_purpose_alone() -> None:
    sealed = seal(SIGNING, b"secret", "a/b")
    assert unseal(SIGNING, sealed, "a/b") == b"secret"
    assert "secret" not in sealed
    assert seal(SIGNING, b"secret", "a/b") != sealed
    for key_, text, about in ((b"t" * 32, sealed, "a/b"), (SIGNING, sealed, "a/c"), (SIGNING, sealed[:-4], "a/b"), (SIGNING, "é", "a/b")):
        with pytest.raises(TerminalError, match="OTHER_MASTER_KEY"):
            unseal(key_, text, about)
