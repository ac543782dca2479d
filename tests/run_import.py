"""`python -m tests.run_import CONNECTION`: one run of a connection's imports in a process that a test may kill."""

from __future__ import annotations

import os
import sys

from headrace.settings import Settings
from object_store.access import S3Access
from profile_store import registry
from profile_store.store import Store
from tests.pipeline import Pipeline


def main(connection: str) -> None:
    settings = Settings()
    secret = settings.s3.secret_access_key
    access = S3Access(
        settings.s3.endpoint_url, settings.s3.region, settings.s3.access_key_id, secret.get_secret_value() if secret else None
    )
    pipeline = Pipeline(settings, access)
    for result in pipeline.run(registry.get_connection(Store(settings.redis), connection)):
        sys.stdout.write(f"{result.state} {result.outcomes}\n")


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    main(sys.argv[1])
