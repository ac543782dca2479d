"""Where the key of a connection comes from, against a real Prefect server; and that it shows nowhere (SPEC C2)."""

from __future__ import annotations

import pytest
from prefect_aws.credentials import AwsCredentials, MinIOCredentials
from pydantic import SecretStr

from headrace.connections import S3Location
from headrace.settings import S3Settings
from object_store.access import S3Access
from tasks.credentials import CredentialsError, s3_access
from tests.integration.prefect_api import PrefectApi

pytestmark = [pytest.mark.slow, pytest.mark.spec("C2")]

SECRET = "a-secret-that-must-show-nowhere"

SETTINGS = S3Settings(endpoint_url="http://127.0.0.1:9000", region="us-west-2", access_key_id="SK1", secret_access_key=SecretStr(SECRET))


@pytest.fixture
def blocks(in_prefect: PrefectApi) -> PrefectApi:
    """One of each kind."""
    key = SecretStr(SECRET)
    AwsCredentials(aws_access_key_id="AK1", aws_secret_access_key=key, aws_session_token="T1", region_name="eu-west-1").save(
        "crm-aws", True
    )
    MinIOCredentials(minio_root_user="MK1", minio_root_password=key).save("crm-minio", True)
    AwsCredentials(profile_name="laptop").save("crm-profile", True)
    return in_prefect


def access_of(**location: str) -> S3Access:
    return s3_access(S3Location.model_validate(location), SETTINGS)


@pytest.mark.usefixtures("blocks")
def test_the_settings_serve_where_no_block_is_named() -> None:
    access = access_of()

    assert (access.endpoint_url, access.region, access.access_key_id) == ("http://127.0.0.1:9000", "us-west-2", "SK1")
    assert access.secret_access_key == SECRET


@pytest.mark.usefixtures("blocks")
def test_a_block_of_aws() -> None:
    access = access_of(credentials="crm-aws")

    assert (access.region, access.access_key_id, access.session_token) == ("eu-west-1", "AK1", "T1")
    assert access.secret_access_key == SECRET


@pytest.mark.usefixtures("blocks")
def test_a_block_of_minio() -> None:
    access = access_of(credentials="crm-minio", endpoint_url="http://minio:9000", region="eu-north-1")

    assert (access.endpoint_url, access.region, access.access_key_id) == ("http://minio:9000", "eu-north-1", "MK1")
    assert access.secret_access_key == SECRET


@pytest.mark.usefixtures("blocks")
def test_a_key_shows_in_no_text() -> None:
    assert SECRET not in repr(access_of(credentials="crm-aws"))


@pytest.mark.usefixtures("blocks")
def test_a_block_that_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(CredentialsError, match=r"there is no Prefect block 'crm-gone'.*HEADRACE_S3_"):
        access_of(credentials="crm-gone")


@pytest.mark.usefixtures("blocks")
def test_a_block_that_names_a_profile_of_one_machine_is_refused() -> None:
    with pytest.raises(CredentialsError, match="AWS profile"):
        access_of(credentials="crm-profile")
