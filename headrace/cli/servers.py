"""The servers that a command works with, opened from the settings for as long as it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from pydantic import ValidationError

from headrace.connections import S3Location
from headrace.errors import ConfigurationError
from headrace.settings import (
    ApiSettings,
    KafkaSettings,
    MailSettings,
    RedisSettings,
    S3Settings,
    Settings,
    UploadSettings,
    WorkerSettings,
)
from profile_store import registry
from profile_store.store import Store
from streaming.importing.context import ImportContext, Report, silent

if TYPE_CHECKING:
    from object_store.access import S3Access
    from object_store.store import ObjectStore

PREFIXES = {
    one.__name__: str(one.model_config.get("env_prefix", ""))
    for one in (KafkaSettings, RedisSettings, S3Settings, WorkerSettings, MailSettings, ApiSettings, UploadSettings, Settings)
}


def settings() -> Settings:
    """Of the environment. Raises ConfigurationError, which names the variables and never what is in them."""
    try:
        return Settings()
    except ValidationError as error:
        prefix = PREFIXES.get(error.title, "HEADRACE_")
        problems = [
            f"{prefix}{'_'.join(map(str, one['loc'])).upper() or '*'}: {one['msg'].removeprefix('Value error, ')}; correct it, or unset it"
            for one in error.errors()
        ]
        raise ConfigurationError(problems) from None


@contextmanager
def opened_store() -> Iterator[Store]:
    store = Store(settings().redis)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def opened(report: Report = silent) -> Iterator[ImportContext]:
    """What the steps of an import work with, without Prefect: it is imported only where a connection names one of its blocks."""
    found = settings()
    with opened_store() as store:
        yield ImportContext(store, found.kafka, objects_of_connections(store, found.s3), report, found.api.master_key)


def objects_of_connections(store: Store, s3: S3Settings) -> Callable[[str], ObjectStore]:
    """Connection name → its S3."""

    @cache
    def objects_of(connection: str) -> ObjectStore:
        from object_store.store import ObjectStore

        # Of uploads, which no connection asked for, there is no other place than the settings'.
        return ObjectStore(access_of(registry.get_connection(store, connection).s3 if connection else S3Location(), s3))

    return objects_of


def access_of(location: S3Location, s3: S3Settings) -> S3Access:
    if location.credentials is not None:
        from tasks.credentials import s3_access

        return s3_access(location, s3)
    from object_store.access import S3Access

    secret = s3.secret_access_key
    return S3Access(
        endpoint_url=location.endpoint_url or s3.endpoint_url,
        region=location.region or s3.region,
        access_key_id=s3.access_key_id or None,
        secret_access_key=None if secret is None else secret.get_secret_value() or None,
    )
