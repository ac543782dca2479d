"""The lines of a corrected file that are imported together: gathered on disk, then an object below `_headrace/replays/`."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from types import TracebackType
from typing import Self

from headrace.errors import TerminalError
from headrace.failpoints import step
from headrace.import_plan import PlannedBlank
from headrace.reject_ids import RejectId
from headrace.replay_plans import CellColumns
from object_store.store import ObjectStore
from object_store.versions import ObjectVersion
from profile_store.registration import Registration
from streaming.importing.taken_rows import SEPARATOR
from streaming.split.row_text import row_of

_IN_MEMORY = 4 * 1024 * 1024
_PIECE = 1024 * 1024


class ReplaySource:
    """Rows, or cells, of a file whose columns are `header`. Closed by leaving its context.

    Of rows a line is the reject's name and the file's cells. Of cells, whose kinds are `cells`: the name, the address of the profile, a column for each
    kind of cell, and then the file's cells, which are only kept for the next file of rejects.
    """

    def __init__(self, header: list[str], cells: Iterable[str] = (), blank: PlannedBlank = "ignore") -> None:
        columns = {cell: _free(f"_headrace_{cell}", header) for cell in cells}
        self.cells = CellColumns(_free("_headrace_profile", header), columns, blank) if columns else None
        self.own_columns = [_free("_headrace_reject", header), *([self.cells.address, *columns.values()] if self.cells else [])]
        self.lines = 0
        self._body = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed with this
        self._digest = hashlib.blake2b(digest_size=10)
        self._write([*self.own_columns, *header])

    def add(self, name: RejectId, sealed: str, cell: str, cells: list[str]) -> None:
        """`cell`: the text of the rejected cell, of a row nothing."""
        own = [name.detail, *(cell if kind == name.cell else "" for kind in self.cells.columns)] if self.cells else []
        self._write([sealed, *own, *cells])
        self.lines += 1

    def _write(self, cells: list[str]) -> None:
        data = row_of(cells, SEPARATOR).encode()
        self._digest.update(data)
        self._body.write(data)

    def upload(self, objects: ObjectStore, first: Registration) -> ObjectVersion:
        """`<directory>/_headrace/replays/<goal>/<import_seq>-<digest>.csv`: what is there under this name is this."""
        source = first.needed_source
        place = PurePosixPath(source.key).parent / "_headrace" / "replays" / first.goal
        key = str(place / f"{first.import_seq}-{self._digest.hexdigest()}.csv")
        try:
            there = objects.head(source.bucket, key)
        except TerminalError:  # NO_SUCH_OBJECT, or ACCESS_DENIED where keys can't be listed: writing tells the two apart
            there = None
        if there is None or there.size != self._body.tell():
            with step("replay_source"), objects.open_write(source.bucket, key) as out:
                self._body.seek(0)
                while piece := self._body.read(_PIECE):
                    out.write(piece)
        return objects.head(source.bucket, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._body.close()


def _free(name: str, header: list[str]) -> str:
    """A column's name that the file does not have."""
    while name in header:
        name += "_"
    return name
