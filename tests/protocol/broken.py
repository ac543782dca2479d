"""The rules of the protocol, each by what goes wrong without it: so that the checker is checked."""

from __future__ import annotations

import enum


class Broken(enum.Enum):
    """One rule of the protocol left out."""

    NO_FENCE = "a row batch is applied whatever the fence says"
    GAPS_ACCEPTED = "a row batch ahead of the fence is applied, and the fence jumps"
    FENCE_APART = "the fence is written in a call of its own, after the commit"
    OFFSET_FENCE = "a Kafka offset serves as the fence"
    EARLY_OFFSET = "the offset is committed before the commit is durable"
    OUTBOX_APART = "the outbox is written in a call of its own, after the commit"
    EARLY_OUTBOX = "outbox entries are published before the commit is durable"
    DELETE_ON_PUBLISH = "an outbox entry is deleted when it is published"
    DELETE_UNDURABLE = "an outbox entry is deleted when its receiver has it, on disk or not"
    NO_TOKEN = "a commit does not compare the version token"
    DIRTY_READ = (
        "what is merged is read without a look at the token: it may be of a commit whose answer was lost, and which Redis loses yet"
    )
    COUNTER_TOKEN = "a counter is the version token"
    LAZY_TAKEOVER = "a worker that takes a partition over writes nothing first"
    BLIND_TAKEOVER = "a takeover waits for the disk, and does not look whether its token is on it"
    BLIND_RESULT = "the same of an import's result"
    BLIND_CLOSING = "the same of rows that are closed, and of floors"
    ANOTHER_LIFE = "counts are read in one life of a server, and waited for in the next"
    ONE_LOOK = "a token of ours on the disk is believed to be the last word of a Redis that came back"
    EARLY_COMPLETION = "counts are believed before they are durable"
    READ_ONCE = "counts are read before the wait for the disk, and not again after it"
    NO_FLOOR = "the floor is not raised when an import is over"
    FENCE_DROPPED_FIRST = "an import's fences are dropped before its floor is raised"
    COUNTS_APART = "the counts are written in a call of their own, after the commit"
    NEIGHBOUR_GAPS = "a neighbour's message ahead of its turn is applied"
    NEIGHBOURS_TWICE = "a neighbour's message is applied again when it comes again"
    SETTLED_TOGETHER = "denials in several messages are all counted as settled by the first"
    GRANTS_TWICE = "answers are counted although their message was applied before"
    DENIAL_WITHDRAWS = "a denied claim removes the property's value"
    NOTES_IGNORED = "notes are taken as granted while their import is open"
    OUTCOME_KEPT = "a denial does not correct the outcomes of rows in doubt"
    CLOSED_UNDRAINED = "a failing import's floor is raised with claims and forwarded rows in flight"
    ROWS_OPEN = "a failing import's partitions go on taking its row batches while they drain"
    NO_IMPORT_TOKEN = "a message is taken for the import that has its number"
    UNBIND_NOT_TOLD = "an erasure does not tell the other addresses of the profile"
