"""The end of an export: its profiles count as exported (SPEC R3). Also of one whose run died, once it is clear whether its file can be read."""

from __future__ import annotations

import logging

from headrace.errors import TerminalError
from headrace.failpoints import step
from object_store.store import ObjectStore
from profile_store import exports, registry
from profile_store.exports import ExportNote
from profile_store.store import Store
from streaming.importing.context import ImportContext

OWNER = "headrace-export"
"""The name in an object's metadata of the export that wrote it."""

_log = logging.getLogger(__name__)


def close_export(store: Store, domain: str, connection: str, export_id: str) -> None:
    """Of an export whose file can be read. Again changes nothing. Raises TransientError: the note is there still, repeat it."""
    with step("count_exported"):
        exports.count_exported(store, domain, registry.get_domain(store, domain).partitions, connection, export_id)
    with step("forget_export"):
        exports.forget_export(store, domain, connection, export_id)


def settle_exports(context: ImportContext, domain: str, connection: str) -> None:
    """The connection's exports of which nobody has told the end. To be called while none of them goes on: one that did would fail.

    Raises TransientError, and TerminalError where S3 can't be asked.
    """
    for note in exports.open_exports(context.store, domain, connection):
        settle_export(context, domain, connection, note)


def settle_export(context: ImportContext, domain: str, connection: str, note: ExportNote) -> bool:
    """Whether its file can be read, and its profiles count. Raises as `settle_exports`."""
    objects = context.objects_of(connection)
    _abort(objects, note)
    # In this order: what is aborted never becomes visible, so what is not visible now never will be.
    if _is_visible(objects, note):
        close_export(context.store, domain, connection, note.export_id)
        return True
    exports.drop_exported(context.store, domain, registry.get_domain(context.store, domain).partitions, note.export_id)
    exports.forget_export(context.store, domain, connection, note.export_id)
    return False


def _abort(objects: ObjectStore, note: ExportNote) -> None:
    try:
        objects.abort_uploads(note.bucket, note.key, note.upload_id)
    except TerminalError as error:
        _log.warning("what an export left of an upload stays, a lifecycle rule should remove it: %s", error)


def _is_visible(objects: ObjectStore, note: ExportNote) -> bool:
    try:
        return objects.metadata(note.bucket, note.key).get(OWNER) == note.export_id
    except TerminalError as error:
        if error.code not in ("NO_SUCH_OBJECT", "NO_SUCH_BUCKET", "ACCESS_DENIED"):
            raise
        return False
