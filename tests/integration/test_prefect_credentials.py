"""Where the key of a connection comes from, against a real Prefect server; and that it shows nowhere (SPEC C2)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.prefect_api import PrefectApi, finish

pytestmark = [pytest.mark.slow, pytest.mark.spec("C2")]

SECRET = "a-secret-that-must-show-nowhere"

SAVE_BLOCKS = f"""
from prefect_aws.credentials import AwsCredentials, MinIOCredentials
aws = AwsCredentials(aws_access_key_id="AK1", aws_secret_access_key="{SECRET}", aws_session_token="T1", region_name="eu-west-1")
aws.save("crm-aws", overwrite=True)
MinIOCredentials(minio_root_user="MK1", minio_root_password="{SECRET}").save("crm-minio", overwrite=True)
AwsCredentials(profile_name="laptop").save("crm-profile", overwrite=True)
"""

LOCATIONS: dict[str, dict[str, Any]] = {
    "no block": {},
    "aws": {"credentials": "crm-aws"},
    "minio": {"credentials": "crm-minio", "endpoint_url": "http://minio:9000", "region": "eu-north-1"},
    "missing": {"credentials": "crm-gone"},
    "profile": {"credentials": "crm-profile"},
}

ASK = f"""
import json
from headrace.connections import S3Location
from headrace.errors import HeadraceError
from headrace.settings import S3Settings
from tasks.credentials import s3_access

def answer(location):
    try:
        access = s3_access(S3Location.model_validate(location), S3Settings())
    except HeadraceError as error:
        return {{"error": str(error)}}
    return {{
        "endpoint_url": access.endpoint_url, "region": access.region, "key": access.access_key_id,
        "secret_is_right": access.secret_access_key == "{SECRET}", "token": access.session_token, "repr": repr(access),
    }}

print(json.dumps({{name: answer(location) for name, location in {LOCATIONS!r}.items()}}))
"""

SETTINGS = {
    "HEADRACE_S3_ENDPOINT_URL": "http://127.0.0.1:9000",
    "HEADRACE_S3_REGION": "us-west-2",
    "HEADRACE_S3_ACCESS_KEY_ID": "SK1",
    "HEADRACE_S3_SECRET_ACCESS_KEY": SECRET,
}


@pytest.fixture(scope="module")
def answers(prefect_server: PrefectApi) -> dict[str, dict[str, Any]]:
    """What `s3_access` gives for each of LOCATIONS."""
    finish(prefect_server.program(SAVE_BLOCKS))
    found: dict[str, dict[str, Any]] = json.loads(
        finish(replace(prefect_server, environment={**prefect_server.environment, **SETTINGS}).program(ASK))
    )
    return found


def test_the_settings_serve_where_no_block_is_named(answers: dict[str, dict[str, Any]]) -> None:
    access = answers["no block"]

    assert (access["endpoint_url"], access["region"], access["key"]) == ("http://127.0.0.1:9000", "us-west-2", "SK1")
    assert access["secret_is_right"]


def test_a_block_of_aws(answers: dict[str, dict[str, Any]]) -> None:
    access = answers["aws"]

    assert (access["region"], access["key"], access["token"]) == ("eu-west-1", "AK1", "T1")
    assert access["secret_is_right"]


def test_a_block_of_minio(answers: dict[str, dict[str, Any]]) -> None:
    access = answers["minio"]

    assert (access["endpoint_url"], access["region"], access["key"]) == ("http://minio:9000", "eu-north-1", "MK1")
    assert access["secret_is_right"]


def test_a_key_shows_in_no_text(answers: dict[str, dict[str, Any]]) -> None:
    assert SECRET not in answers["aws"]["repr"]


def test_a_block_that_is_not_there_is_named_with_what_to_do(answers: dict[str, dict[str, Any]]) -> None:
    error = answers["missing"]["error"]

    assert error.startswith("CREDENTIALS: there is no Prefect block 'crm-gone'")
    assert "HEADRACE_S3_*" in error


def test_a_block_that_names_a_profile_of_one_machine_is_refused(answers: dict[str, dict[str, Any]]) -> None:
    assert "AWS profile" in answers["profile"]["error"]
