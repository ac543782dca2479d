"""The choice of files by name, wildcards and regular expression."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.file_selection import FileSelection, PatternError, import_order, is_own, select_files


@dataclass(frozen=True)
class Listed:
    key: str
    last_modified: datetime


@pytest.mark.spec("I3", "G2")
@pytest.mark.parametrize(
    ("directory", "files", "yes", "no"),
    [
        ("", "10-import.csv", ["10-import.csv"], ["10-import.csv.bak", "x/10-import.csv", "10-importXcsv"]),
        (
            "exports",
            "*.csv",
            ["exports/a.csv", "exports/.csv", "exports/é\n.csv"],
            ["exports/sub/a.csv", "a.csv", "exports/a.csvx", "exports/"],
        ),
        ("/exports/", "*import*", ["exports/import", "exports/10-import.csv"], ["exports/imp", "exports/import/a.csv", "exports2/import"]),
        ("", "**/*.csv", ["a.csv", "x/a.csv", "x/y/a.csv"], ["a.txt", "x/a.csv/b"]),
        ("", "**", ["a", "x/y/z"], ["x/"]),
        ("", "a/**/b.csv", ["a/b.csv", "a/x/b.csv", "a/x/y/b.csv"], ["ab.csv", "a/xb.csv"]),
        ("", "a**z", ["az", "a/z", "abcz", "ab/cz"], ["a/zz/"]),
        ("d", "2026/*.csv", ["d/2026/a.csv"], ["d/2026/x/a.csv", "d/a.csv"]),
        ("", "a?c", ["abc", "a.c"], ["a/c", "ac", "abbc"]),
        ("", "[a-c]1", ["a1", "c1"], ["d1", "-1", "A1"]),
        ("", "[!a-c]1", ["d1", "!1"], ["a1", "/1", "1"]),
        ("", "x[+-0]y", ["x+y", "x.y", "x0y"], ["x/y", "x1y"]),
        ("", "x[.-z]y", ["x.y", "x0y", "xzy"], ["x/y"]),
        ("", "x[]-]y", ["x]y", "x-y"], ["xy", "x\\y"]),
        ("", "[*][?][[]a]", ["*?[a]"], ["xx[a]"]),
        ("", r"a\d^$.(b|c)+{2}.csv", [r"a\d^$.(b|c)+{2}.csv"], ["a1", r"a\d^$x(b|c)+{2}.csv"]),
    ],
)
def test_names_and_wildcards(directory: str, files: str, yes: list[str], no: list[str]) -> None:
    selection = select_files(directory, files=files)
    assert [key for key in yes if not selection.matches(key)] == []
    assert [key for key in no if selection.matches(key)] == []
    assert all(key.startswith(selection.prefix) for key in yes), "listing the prefix would miss a match"
    assert selection.goes_below or not any("/" in key[len(selection.directory) :] for key in yes)


@pytest.mark.spec("I3")
def test_without_a_pattern_all_files_of_the_directory_are_meant() -> None:
    selection = select_files("exports/")
    assert selection.matches("exports/a.csv")
    assert not selection.matches("exports/sub/a.csv")


@pytest.mark.spec("I3")
def test_a_regular_expression_matches_the_whole_path_below_the_directory() -> None:
    selection = select_files("d/", regex=r"(\d{4}/)?import-[a-z]+\.csv")
    assert selection.matches("d/import-a.csv")
    assert selection.matches("d/2026/import-a.csv")
    assert not selection.matches("d/import-a.csv.bak")
    assert not selection.matches("d/x/import-a.csv")
    assert not selection.matches("import-a.csv")


@pytest.mark.spec("I3")
@pytest.mark.parametrize(
    "selection", [select_files(files="**"), select_files(regex=".*"), select_files(files="**/*.csv"), select_files(files="*/*/*")]
)
def test_nothing_that_headrace_wrote_is_ever_meant(selection: FileSelection) -> None:
    for key in ("_headrace/rejects/a.csv", "d/_headrace/pinned/a.csv", "_headrace/a/b.csv"):
        assert is_own(key)
        assert not selection.matches(key)
    assert not is_own("my_headrace/a.csv")
    assert select_files(files="**").matches("my_headrace/_headrace.csv")


@pytest.mark.spec("I3")
def test_a_hostile_expression_takes_linear_time() -> None:
    selection = select_files(regex="(a|a)*(a*)*b")
    started = time.process_time()
    assert not selection.matches("a" * 100_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("files", "where", "why"),
    [
        ("a[b", "character 2", "never closed"),
        ("a[]", "character 2", "never closed"),
        ("[z-a]", "character 2", "write it as a-z"),
        ("x[/]y", "character 2", "can't match"),
        ("/a.csv", "'/a.csv'", "relative to the directory"),
        ("", "empty", "write *"),
    ],
)
def test_an_invalid_wildcard_says_what_and_where(files: str, where: str, why: str) -> None:
    with pytest.raises(PatternError) as caught:
        select_files(files=files)
    assert where in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("regex", "where", "why"),
    [
        ("ab(?=c)", "character 3", "invalid perl operator: (?="),
        (r"(a)\1", "character 4", r"invalid escape sequence: \1"),
        ("ab[z-a]", "character 4", "invalid character class range: z-a"),
        ("*a", "character 1", "no argument for repetition"),
        ("a{1001}", "character 2", "invalid repetition size"),
        ("", "empty", "leave it out"),
    ],
)
def test_an_invalid_expression_says_what_and_where(regex: str, where: str, why: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError) as caught:
        select_files(regex=regex)
    assert where in str(caught.value)
    assert why in str(caught.value)
    assert capfd.readouterr().err == ""


def test_both_kinds_at_once_are_refused() -> None:
    with pytest.raises(PatternError, match="keep one"):
        select_files(files="*", regex=".*")


@pytest.mark.parametrize("directory", ["_headrace", "a/_headrace/pinned/"])
def test_a_directory_of_headrace_is_refused(directory: str) -> None:
    with pytest.raises(PatternError, match="no scan enters"):
        select_files(directory)


@pytest.mark.spec("I13")
def test_order_is_last_modified_then_key() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    files = [Listed("b", late), Listed("a", late), Listed("z", early)]
    assert [file.key for file in sorted(files, key=import_order)] == ["z", "a", "b"]


@given(st.text("ab[]!-*?.", min_size=1, max_size=8), st.text("ab[]!-*?.", min_size=1, max_size=8))
def test_inside_a_directory_wildcards_mean_what_they_mean_to_a_shell(pattern: str, name: str) -> None:
    try:
        selection = select_files(files=pattern)
    except PatternError:
        return  # fnmatch takes an unclosed [ for itself and an empty range for nothing; here both are told
    assert selection.matches(name) == fnmatchcase(name, pattern.replace("**", "*"))
