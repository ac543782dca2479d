"""Settings that would not do what somebody believes are refused, without a word of what is secret in them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from headrace.cli.servers import settings
from headrace.errors import ConfigurationError
from headrace.settings import ApiSettings, KafkaSettings, RedisSettings

SECRET = "a-secret-that-must-show-nowhere"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"security_protocol": "sasl_ssl"}, "SASL_USERNAME and SASL_PASSWORD are needed"),
        ({"security_protocol": "sasl_ssl", "sasl_username": "u"}, "SASL_USERNAME and SASL_PASSWORD are needed"),
        ({"sasl_username": "u", "sasl_password": SECRET}, "sasl_ssl or sasl_plaintext only"),
        (
            {"security_protocol": "sasl_plaintext", "sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": SECRET},
            "would send the password readable",
        ),
        ({"ca_file": "/ca.pem"}, "ssl or sasl_ssl only"),
        ({"security_protocol": "ssl", "certificate_file": "/c.pem"}, "go together"),
    ],
)
def test_what_does_not_fit_kafkas_protocol(written: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        KafkaSettings.model_validate(written)


def test_an_authority_for_a_connection_without_tls() -> None:
    with pytest.raises(ValidationError, match="rediss://"):
        RedisSettings.model_validate({"url": "redis://127.0.0.1:6379/0", "ca_file": "/ca.pem"})


def test_a_command_names_the_variables_and_not_what_is_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA_SASL_PASSWORD", SECRET)
    with pytest.raises(ConfigurationError) as caught:
        settings()
    assert "HEADRACE_KAFKA_*: SASL_USERNAME and SASL_PASSWORD are used with" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "readable"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "0.0.0.0", "public_url": "http://profiles.example.com"}, True),
        ({"host": "0.0.0.0", "public_url": "https://profiles.example.com"}, False),
        ({"host": "10.0.0.5", "certificate_file": "c.pem", "key_file": "k.pem"}, False),
    ],
)
def test_an_api_that_others_can_listen_to_says_so(written: dict[str, str], readable: bool) -> None:
    assert ApiSettings.model_validate(written).is_readable_by_others is readable
