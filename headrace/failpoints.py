"""Places at which a test may kill a process: before and after every step that others must be able to go on from (DESIGN §8).

They change nothing. Where HEADRACE_FAILPOINT names one, the process ends itself there as `kill -9` would: `commit:before`, or `commit:after:3` for the
third time. A test enumerates FAILPOINTS, and kills at each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

VARIABLE = "HEADRACE_FAILPOINT"
BEFORE, AFTER = "before", "after"

FAILPOINTS: dict[str, str] = {
    # a merge worker
    "takeover": "a partition gets its new owner's token",
    "takeover_durable": "that token is made durable",
    "read_profiles": "what lies at the addresses of a group is read",
    "commit": "a group is committed to its partition",
    "confirm": "what was committed is confirmed to be durable",
    "outbox_publish": "a message for a neighbour is handed to Kafka",
    "outbox_delete": "messages that their receivers have are deleted from an outbox",
    "offset_commit": "offsets of what is durable are committed to Kafka",
    "dead_letter": "a message that is given up is published to the dead-letter topic",
    # a run's flow
    "pin": "the object is copied, so that it stays as it is",
    "register": "an import gets its number",
    "replay_source": "the lines of a corrected file of rejects that are replayed become an object",
    "register_replay": "their replay gets its number",
    "take_rejects": "a replay takes rejects that nobody has replayed",
    "give_back_rejects": "rejects that were rejected again may be replayed again",
    "announce": "an import is made known to the imports topic",
    "publish": "a row batch is handed to Kafka",
    "published": "Kafka has confirmed every row batch",
    "write_rejects": "the file of rejects is written",
    "close_rows": "a partition takes no more row batches of an import that failed",
    "result": "the import's result is recorded",
    "raise_floor": "a partition takes no more messages of the import",
    "drop_import": "a partition forgets the import's counts",
    "unpin": "the copy of the object is deleted",
    "announce_end": "how the import ended is made known to the imports topic",
    "end": "the file is noted as imported, and the next import gets its turn",
    # an upload job: the API, and its flow
    "create_upload_job": "an upload job comes into being",
    "expect_upload": "it is noted that something is uploaded for a job, so that what a death leaves of it is found",
    "note_upload": "what was uploaded is noted as what the job imports",
    "start_upload_job": "the job is in progress",
    "ask_stop": "it is noted that somebody wants the job stopped",
    "define_properties": "the domain's definition says what the job needs",
    "register_upload": "the job's import gets its number",
    "end_upload_job": "the job is over, and the key of its file gone",
    "remove_upload": "the files that were uploaded for it are deleted",
    "settle_upload_job": "nobody has to look after the job any more",
    # who changes a domain's schema
    "register_schema": "a change of the schema gets its number",
    "end_schema": "the change is over, and the next import gets its turn",
    # who expires a domain's profiles
    "register_expiry": "an expiry gets its number",
    "note_expired": "it is noted until when the domain was looked through",
    # who changes a domain's segments, and who builds them
    "register_segments": "a change of segments gets its number",
    "begin_generations": "a partition begins to keep what the change defines",
    "end_segments": "the change is over, and the next import gets its turn",
    "complete_generations": "what was built of a partition's segments becomes their members",
    "switch_live": "what is whole in every partition becomes what people read",
    "drop_generations": "a partition forgets what nobody reads any more",
    # who deletes a domain
    "retire_domain": "nobody finds the domain any more, and nothing can be registered in it",
    "drop_domain": "everything of it but its numbers is deleted",
    # a run's flow, of exports
    "note_export": "an export is noted, so that what it leaves is found",
    "begin_export": "the upload of its file is begun",
    "keep_exported": "the numbers of its profiles are kept",
    "finish_export": "its file becomes visible",
    "count_exported": "its profiles count as exported by the connection",
    "forget_export": "its note is forgotten",
}
"""Step → what it does."""


@dataclass(slots=True)
class _Armed:
    name: str
    side: str
    left: int


_armed: _Armed | None = None


def arm(said: str) -> None:
    """`<step>:before` or `<step>:after`, `:<n>` behind it for the n-th time; '' for none. Raises ValueError for what is not there."""
    global _armed  # noqa: PLW0603 - a process has one
    if not said:
        _armed = None
        return
    name, _, rest = said.partition(":")
    side, _, times = rest.partition(":")
    if name not in FAILPOINTS or side not in (BEFORE, AFTER):
        raise ValueError(f"{VARIABLE} names no failpoint: {said}")
    _armed = _Armed(name, side, int(times or 1))


@contextmanager
def step(name: str) -> Iterator[None]:
    """The block is the step."""
    if _armed is None:
        yield
        return
    _reach(_armed, name, BEFORE)
    yield
    _reach(_armed, name, AFTER)


def _reach(armed: _Armed, name: str, side: str) -> None:
    if (armed.name, armed.side) != (name, side):
        return
    armed.left -= 1
    if armed.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
