"""The list of bad inputs: long enough, without doubles, and with codes that exist."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from headrace.file_selection import select_files
from headrace.outcomes import Reason
from tests.bad_inputs import ANSWERS, BIG, CELLS, FILES, OBJECTS, ROWS


def test_there_are_more_than_sixty_of_data_alone_and_each_is_there_once() -> None:
    names = [f"{type(one).__name__} {one.name}" for one in (*FILES, *ROWS, *ANSWERS)]
    names += [f"{one.column} {one.text} {one.code}" for one in CELLS]
    names += [*OBJECTS, *BIG]
    assert len(names) == len(set(names)) > 60
    codes = {*(one.code for one in CELLS), *(one.code for one in ROWS)} - {""}
    assert codes <= set(Reason)


def test_configurations_have_a_folder_of_their_own() -> None:
    assert len(list((Path(__file__).parent / "broken_configuration").glob("*.yaml"))) > 60


@pytest.mark.spec("I3")
def test_an_expression_that_takes_others_for_ever_takes_this_engine_no_time() -> None:
    """`(a+)+$` is no mistake here: it is read in linear time."""
    selection = select_files(regex="(a+)+$")
    started = time.perf_counter()
    assert not selection.matches("a" * 900 + "!")
    assert time.perf_counter() - started < 1
