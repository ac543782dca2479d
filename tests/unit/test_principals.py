"""Who may call the API: the file, its secrets elsewhere, two keys each, and what they may do (SPEC U12)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.live_principals import LivePrincipals
from api.principals_file import check_principals, load_principals
from headrace.cli.check import check_files
from headrace.cli.terminal import Form, Terminal
from headrace.errors import ConfigurationError
from headrace.yaml_source import load_files
from tests.polling import eventually

FILE = """\
version: 1
kind: principals
principals:
  - name: loader
    keys:
      - {id: HRTESTKEY0000000001, from_file: loader.txt}
      - {id: HRTESTKEY0000000002, from_environment: HEADRACE_TESTS_LOADER}
    allow:
      - {operations: ["*UploadJob*", ListDomains], domains: ["retail*"]}
      - {operations: [GetDomain], domains: ["*"]}
"""
FIRST, SECOND = "the-first-secret-of-the-tests", "the-second-secret-of-the-tests"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "loader.txt").write_text(f"{FIRST}\n")
    monkeypatch.setenv("HEADRACE_TESTS_LOADER", SECOND)
    path = tmp_path / "principals.yaml"
    path.write_text(FILE)
    return path


@pytest.mark.spec("U12")
def test_two_keys_live_at_once(file: Path) -> None:
    found = load_principals(file)
    assert found.secret_of("HRTESTKEY0000000001") == FIRST
    assert found.secret_of("HRTESTKEY0000000002") == SECOND
    assert found.secret_of("HRTESTKEY0000000003") is None
    assert {one.name for one in found.owners.values()} == {"loader"}
    assert FIRST not in repr(found)


@pytest.mark.spec("U12")
@pytest.mark.parametrize(
    ("operation", "domain", "may"),
    [
        ("CreateUploadJob", "retail", True),
        ("ListUploadJobs", "retail-2", True),
        ("CreateUploadJob", "other", False),
        ("CreateUploadJob", "my-retail", False),
        ("GetDomain", "other", True),
        ("DeleteDomain", "retail", False),
        ("ListDomains", None, True),
        ("ListDomains", "other", False),
        ("DeleteProfile", "retail", False),
    ],
)
def test_what_no_rule_allows_is_forbidden(file: Path, operation: str, domain: str | None, may: bool) -> None:
    assert load_principals(file).owners["HRTESTKEY0000000001"].may(operation, domain) is may


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("loader.txt", "nowhere.txt", ":6: principals[0].keys[0].from_file: can't be read: No such file"),
        (
            "HEADRACE_TESTS_LOADER",
            "HEADRACE_TESTS_NOBODY",
            ":7: principals[0].keys[1].from_environment: this environment variable is not set",
        ),
        (
            "    allow:\n",
            "      - {id: HRTESTKEY0000000003, from_file: loader.txt}\n    allow:\n",
            ":5: principals[0].keys: has more than 2 entries",
        ),
        ("from_file: loader.txt", "secret: hunter2hunter2hunter2", ":6: principals[0].keys[0].secret: keys and secrets have no place"),
        (", from_file: loader.txt", "", ":6: principals[0].keys[0].from_file: say where the secret is"),
        ("HRTESTKEY0000000002", "HRTESTKEY0000000001", ":7: principals[0].keys[1].id: is there twice"),
        ("HRTESTKEY0000000001", "short", "is no access key id"),
        ("*UploadJob*", "*UploadedJob*", "is no operation's name"),
        ("retail*", "ret?il", "is no name of a domain"),
        ("name: loader", "name: two words", "is not a name"),
        ("kind: principals", "kind: principal", "kind"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(file: Path, old: str, new: str, said: str) -> None:
    file.write_text(FILE.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        load_principals(file)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.spec("U12")
def test_check_tells_what_the_api_would_not_start_with(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Before it is started, together with what is wrong with other files."""
    assert check_files(Terminal.of(Form.JSON), [file])
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["principals"], document["domains"]) == (True, ["loader"], [])
    file.write_text(FILE.replace("loader.txt", "nowhere.txt").replace("*UploadJob*", "*Uploaded*"))
    other = tmp_path / "retail.yaml"
    other.write_text("version: 1\nkind: domain\nname: two words\n")
    with pytest.raises(ConfigurationError) as caught:
        check_files(Terminal.of(Form.JSON), [other, file])
    assert [one.partition(": ")[0] for one in caught.value.problems] == [f"{file}:9", f"{other}:3"]
    with pytest.raises(ConfigurationError, match="HEADRACE_API_PRINCIPALS_FILE"):
        load_files([file])


def test_secrets_that_everybody_can_read_or_that_are_elsewhere_are_warned_of(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the API runs they may be as they should: Kubernetes mounts them so, and this shell is not its."""
    secret = file.parent / "loader.txt"
    secret.chmod(0o600)
    assert check_principals(file).warnings == ()
    secret.chmod(0o644)
    monkeypatch.delenv("HEADRACE_TESTS_LOADER")
    assert check_principals(file).warnings == (
        f"{file}:6: principals[0].keys[0].from_file: can be read by everyone on this machine; take that away (chmod o-r)",
        f"{file}:7: principals[0].keys[1].from_environment: this environment variable is not set here; it has to be where the API runs",
    )
    secret.write_text("too short")
    with pytest.raises(ConfigurationError, match=r":6: principals\[0\].keys\[0\].from_file: holds fewer than 16 characters"):
        check_principals(file)


@pytest.mark.spec("U12")
def test_a_key_is_replaced_without_a_restart(file: Path) -> None:
    live = LivePrincipals(file)
    file.write_text(FILE.replace("kind: principals", "kind: nonsense"))
    (file.parent / "loader.txt").write_text("too short")
    assert live.current().secret_of("HRTESTKEY0000000001") == FIRST
    file.write_text(FILE)
    (file.parent / "loader.txt").write_text("a-new-secret-of-the-tests-1234")
    eventually(
        lambda: live.current().secret_of("HRTESTKEY0000000001") == "a-new-secret-of-the-tests-1234", within=10, what="the new secret"
    )
