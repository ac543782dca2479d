"""The way to a connection's S3 server: the key of the Prefect block that the connection names, or `HEADRACE_S3_*` (SPEC C2).

Not a task: what a task takes and gives may be logged or kept. Tasks call this, use the key, and let go of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect_aws.credentials import AwsCredentials, MinIOCredentials
from pydantic import SecretStr, ValidationError

from headrace.connections import S3Location
from headrace.errors import TerminalError
from headrace.settings import S3Settings
from object_store.access import S3Access
from tasks.prefect_answers import answering


class CredentialsError(TerminalError):
    code = "CREDENTIALS"


@dataclass(frozen=True)
class _Key:
    """What a block of either kind says. None: it says nothing, and the next source is asked."""

    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)
    session_token: str | None = field(repr=False)
    region: str | None
    endpoint_url: str | None


def s3_access(s3: S3Location, settings: S3Settings) -> S3Access:
    """The key is the block's where one is named, else the settings'. Endpoint and region: the connection's, else the block's, else theirs.

    Raises CredentialsError where the named block is missing or unreadable; PREFECT_DENIED, PREFECT_UNAVAILABLE.
    """
    key = _of_settings(settings) if s3.credentials is None else _of_block(s3.credentials)
    return S3Access(
        endpoint_url=s3.endpoint_url or key.endpoint_url or settings.endpoint_url,
        region=s3.region or key.region or settings.region,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        session_token=key.session_token,
    )


def _of_settings(settings: S3Settings) -> _Key:
    return _Key(settings.access_key_id, _revealed(settings.secret_access_key), None, settings.region, settings.endpoint_url)


def _of_block(name: str) -> _Key:
    try:
        return _loaded(name)
    except ValidationError:
        # Its text quotes the values, so it is not passed on.
        raise CredentialsError(
            f"the Prefect block {name!r} does not hold what its type requires.",
            hint="Open it under Blocks in the Prefect UI and save it again.",
        ) from None


def _loaded(name: str) -> _Key:
    with answering():
        if _exists("aws-credentials", name):
            return _of_aws(AwsCredentials.load(name, _sync=True))
        if _exists("minio-credentials", name):
            return _of_minio(MinIOCredentials.load(name, _sync=True))
    raise CredentialsError(
        f"there is no Prefect block {name!r} of type AWS Credentials or MinIO Credentials.",
        hint="Create it under Blocks in the Prefect UI, or leave `s3.credentials` out of the connection to use HEADRACE_S3_*.",
    )


def _exists(block_type: str, name: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_block_document_by_name(name, block_type, include_secrets=False)
        except ObjectNotFound:
            return False
    return True


def _of_aws(block: AwsCredentials) -> _Key:
    if block.profile_name:
        raise CredentialsError(
            "the Prefect block names an AWS profile, which is a file on one machine.",
            hint="Put an access key in the block, or leave it empty for the machine's role.",
        )
    return _Key(
        block.aws_access_key_id or None,
        _revealed(block.aws_secret_access_key),
        block.aws_session_token or None,
        block.region_name,
        block.aws_client_parameters.endpoint_url,
    )


def _of_minio(block: MinIOCredentials) -> _Key:
    return _Key(
        block.minio_root_user, _revealed(block.minio_root_password), None, block.region_name, block.aws_client_parameters.endpoint_url
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() or None if secret is not None else None
