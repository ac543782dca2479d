"""One bar for all files of a run: how far it is, what it says, how often it is drawn."""

from __future__ import annotations

import logging
from uuid import uuid4

import pytest

from streaming.importing.context import Progress
from tasks import progress_bar
from tasks.progress_bar import FilePart, ProgressBar, artifact_key, described, done_of_file, parts_of

PART = FilePart("a.csv", " (1 of 2)", 20.0, 50.0, 1_000)


class Drawn:
    """Stands for the Prefect server; `now` is the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[float, str]] = []
        self.now = 0.0
        monkeypatch.setattr(progress_bar, "update_progress_artifact", self._update)

    def _update(self, _artifact_id: object, *, progress: float, description: str) -> None:
        self.seen.append((progress, description))

    def clock(self) -> float:
        return self.now


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    return Drawn(monkeypatch)


def test_parts_of_files_fill_the_bar_one_after_the_other() -> None:
    first, second = parts_of([("a.csv", 299), ("b.csv", 99)])

    assert (first.start, first.width, first.place) == (0.0, 75.0, " (1 of 2)")
    assert (second.start, second.width, second.place) == (75.0, 25.0, " (2 of 2)")


def test_a_compressed_file_is_longer_than_its_object() -> None:
    plain, packed = parts_of([("a.csv", 1_000), ("b.csv.GZ", 1_000)])

    assert packed.length > 4 * plain.length


def test_files_without_a_byte_have_a_part_too() -> None:
    assert [part.width for part in parts_of([("a.csv", 0), ("b.csv", 0)])] == [50.0, 50.0]


def test_a_file_never_goes_back_and_ends_whole() -> None:
    steps = [
        Progress("waiting", 3, 9),
        Progress("publishing", 10, 0),
        Progress("publishing", 1_000, 0),
        Progress("publishing", 5_000, 0),
        Progress("merging", 0, 80),
        Progress("merging", 80, 80),
        Progress("rejects", 1, 2),
        Progress("rejects", 2, 2),
    ]
    done = [done_of_file(step, 1_000) for step in steps]

    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.0, 1.0)


def test_it_is_drawn_once_a_second_and_at_the_start_of_each_phase(drawn: Drawn) -> None:
    report = ProgressBar(uuid4(), drawn.clock).of_file(PART)
    for now, progress in [
        (0.0, Progress("publishing", 0, 0, "0 rows read")),
        (0.5, Progress("publishing", 300, 0, "3 rows read")),
        (1.1, Progress("publishing", 500, 0, "5 rows read")),
        (1.2, Progress("merging", 4, 10)),
        (1.3, Progress("merging", 6, 10)),
    ]:
        drawn.now = now
        report(progress)

    assert [percent for percent, _ in drawn.seen] == [20.0, 35.0, 57.0]
    assert drawn.seen[-1][1] == "██████░░░░ 57 % 4 of 10 rows · a.csv (1 of 2)"


def test_an_import_goes_on_when_the_artifact_cannot_be_updated(
    drawn: Drawn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(progress_bar, "update_progress_artifact", refuse)
    monkeypatch.setattr(progress_bar, "get_run_logger", lambda: logging.getLogger("headrace"))
    bar = ProgressBar(uuid4(), drawn.clock)

    with caplog.at_level("WARNING", logger="headrace"):
        bar.draw_now(1.0, "a")
        bar.draw_now(2.0, "b")

    assert len(caplog.records) == 1
    assert "the import goes on" in caplog.text


def test_percent_is_shown_as_a_bar_of_ten() -> None:
    assert described(0.0, "x") == "░░░░░░░░░░ 0 % x"
    assert described(100.0, "x") == "██████████ 100 % x"


def test_artifact_keys_are_what_prefect_takes() -> None:
    assert artifact_key("CRM_2 (täglich)", "summary") == "crm-2-t-glich-summary"
    assert artifact_key("___", "summary") == "connection-summary"
