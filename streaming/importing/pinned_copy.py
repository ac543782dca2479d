"""The copy that an import reads where the bucket keeps no versions: noted, made, and deleted by whoever comes after a run that died (SPEC I12)."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from headrace.errors import TerminalError
from headrace.failpoints import step
from object_store.versions import ObjectVersion
from profile_store import pins
from profile_store.pins import PinNote
from profile_store.registration import Registration
from streaming.importing.context import ImportContext

_log = logging.getLogger(__name__)


def registered_version(registration: Registration) -> ObjectVersion:
    source = registration.needed_source
    return ObjectVersion(
        source.bucket, source.key, source.version_id, source.etag, source.size, datetime.fromisoformat(source.last_modified)
    )


def pinned_version(registration: Registration) -> ObjectVersion | None:
    """The copy that was made for this import, if one was (SPEC I12)."""
    source = registration.source
    if source is None or source.pinned_key is None or source.pinned_etag is None:
        return None
    return replace(registered_version(registration), key=source.pinned_key, etag=source.pinned_etag, version_id=None)


def pin_source(context: ImportContext, domain: str, connection: str, source: ObjectVersion, identity: str) -> ObjectVersion:
    """What to read in place of `source` for the work of that identity. Raises as `ObjectStore.pin`."""
    objects, note = context.objects_of(connection), PinNote(identity, source.bucket, source.key)
    if source.version_id is not None:
        return objects.pin(source, note.owner)  # which is itself
    pins.note_pin(context.store, domain, connection, note)
    with step("pin"):
        pinned = objects.pin(source, note.owner)
    if pinned.key == source.key:
        pins.forget_pin(context.store, domain, connection, identity)
    return pinned


def unpin_source(context: ImportContext, registration: Registration, identity: str) -> None:
    """A copy that can't be deleted stays: its connection may be gone, or its key may not delete. The domain must not stand still for it."""
    pinned = pinned_version(registration)
    if pinned is None:
        return
    try:
        with step("unpin"):
            context.objects_of(registration.connection).unpin(pinned)
    except TerminalError as error:
        _log.warning("the pinned copy %s of import %d stays: %s", pinned.location, registration.import_seq, error)
    pins.forget_pin(context.store, registration.domain, registration.connection, identity)


def settle_pins(context: ImportContext, domain: str, connection: str) -> None:
    """Delete the copies of runs that died before they had registered an import; raises TransientError.

    To be called by the run of the connection whose turn it is. Were there another one, it would lose its copy, and read the object itself, or fail with
    SOURCE_CHANGED where that was replaced.
    """
    for note in pins.pins_of_nobody(context.store, domain, connection):
        try:
            context.objects_of(connection).drop_pin(note.bucket, note.key, note.owner)
        except TerminalError as error:
            _log.warning("a pinned copy of s3://%s/%s stays: %s", note.bucket, note.key, error)
        pins.forget_pin(context.store, domain, connection, note.identity)
