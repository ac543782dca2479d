"""One run of a connection's exports, with the steps of the flow, in a process that a test may kill. `main` is called in a process of a nursery."""

from __future__ import annotations

import os
import sys

from headrace.failpoints import VARIABLE, arm
from headrace.goal_choice import chosen_exports
from headrace.settings import Settings
from object_store.access import S3Access
from profile_store import registry
from streaming.exporting.close_export import close_export, settle_exports
from streaming.exporting.write_export import write_export
from tests.pipeline import Pipeline


def main(arguments: tuple[str, ...]) -> int:
    """`arguments`: the connection."""
    arm(os.environ.get(VARIABLE, ""))
    settings = Settings()
    secret = settings.s3.secret_access_key
    access = S3Access(
        settings.s3.endpoint_url, settings.s3.region, settings.s3.access_key_id, secret.get_secret_value() if secret else None
    )
    real = Pipeline(settings, access)
    connection = registry.get_connection(real.store, arguments[0])
    for goal in chosen_exports(connection):
        settle_exports(real.context, goal.domain, connection.name)
        written = write_export(real.context, connection, goal)
        close_export(real.store, goal.domain, connection.name, written.export_id)
        sys.stdout.write(f"{written}\n")
    return 0
