"""When a lane of the outbox is published again (DESIGN §2)."""

from __future__ import annotations

from collections import deque

import pytest

from profile_store.partitions import OutboxEntry
from streaming.worker.outbox import MOST_DOUBLED, UNHEARD_SECONDS, Lane

TICK = UNHEARD_SECONDS / 10


def repeats(lane: Lane, start: float, end: float, heard: int = -1) -> list[float]:
    """The moments, in ticks, at which all of it has to be published again; it is, at once."""
    found = []
    for tick in range(round(start / TICK), round(end / TICK)):
        lane.hear(heard, tick * TICK)
        if lane.entries and not lane.published:
            found.append(tick * TICK)
            lane.published = len(lane.entries)
    return found


@pytest.mark.spec("B1")
def test_a_neighbour_that_pauses_for_hours_is_sent_everything_ever_more_rarely_and_one_that_goes_on_soon() -> None:
    lane = Lane(deque((number, OutboxEntry(3, number, b"x")) for number in range(4)), published=4)
    hour = repeats(lane, 0, 3600)
    pauses = [after - before for before, after in zip([0.0, *hour], hour, strict=False)]
    expected = [UNHEARD_SECONDS * 2 ** min(place, MOST_DOUBLED) for place in range(len(pauses))]
    assert pauses == pytest.approx(expected, abs=2 * TICK)
    assert 70 < len(hour) < 90, "every 3 seconds would be 1,200 times"
    assert [entry.number for entry in lane.hear(1, 3600.0)] == [0, 1]
    [soon, *_] = repeats(lane, 3600, 3700, heard=1)
    assert soon - 3600 == pytest.approx(UNHEARD_SECONDS, abs=2 * TICK), "it goes on: what it lacks may be lost, and does not wait"
    assert [entry.number for entry in lane.hear(3, 3700.0)] == [2, 3]
    assert repeats(lane, 3700, 7200, heard=3) == []
