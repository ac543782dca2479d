"""Every file in broken_configuration/ begins with comments: the SPEC statements it proves, and the problems it must have, one a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from headrace.errors import ConfigurationError
from headrace.yaml_source import load_file, load_files

BROKEN = Path(__file__).parent / "broken_configuration"
RETAIL = BROKEN / "domains" / "retail.yaml"


def _header(path: Path) -> list[str]:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    return lines


def _expected(path: Path) -> list[str]:
    return [f"{path}:{line}" for line in _header(path) if not line.startswith("SPEC ")]


def _broken_files() -> list[ParameterSet]:
    found = []
    for path in sorted(BROKEN.glob("*.yaml")):
        statements = [statement for line in _header(path) if line.startswith("SPEC ") for statement in line.split()[1:]]
        found.append(pytest.param(path, id=path.stem, marks=[pytest.mark.spec(*statements)] if statements else []))
    return found


def _problems(paths: list[Path]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_files(paths)
    return caught.value.problems


@pytest.mark.parametrize("path", _broken_files())
def test_says_what_is_wrong_and_where(path: Path) -> None:
    is_domain = "\nkind: domain\n" in path.read_text(encoding="utf-8")
    assert _problems([path] if is_domain else [RETAIL, path]) == _expected(path)
    assert _expected(path), "a broken file says what is wrong with it"


@pytest.mark.spec("C2")
@pytest.mark.parametrize("path", sorted(BROKEN.glob("secret_*.yaml")), ids=lambda path: path.stem)
def test_no_secret_is_repeated(path: Path) -> None:
    told = "\n".join(_problems([RETAIL, path]))
    for secret in ("wJalrXUtnFEMI", "AKIAIOSFODNN7", "hunter2", "hunter3"):
        assert secret not in told


def test_all_files_problems_at_once() -> None:
    problems = _problems([BROKEN / "separator_too_long.yaml", RETAIL, BROKEN / "link_empty.yaml"])
    assert problems == _expected(BROKEN / "separator_too_long.yaml") + _expected(BROKEN / "link_empty.yaml")


def test_one_name_in_two_files(tmp_path: Path) -> None:
    again = tmp_path / "again.yaml"
    again.write_text("version: 1\nkind: domain\nname: retail\n")
    assert _problems([RETAIL, again]) == [f"{again}:3: name: domain 'retail' is defined in {RETAIL} too; rename one, or remove it"]


def test_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert _problems([path]) == [f"{path}: there is no such file; check the path"]


def test_a_directory(tmp_path: Path) -> None:
    assert _problems([tmp_path]) == [f"{tmp_path}: is a directory; name the files in it"]


def test_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("version: 1\nkind: domain\nname: läden\n".encode("latin-1"))
    assert _problems([path]) == [f"{path}:3: is not UTF-8; save the file as UTF-8"]


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_bytes(b"x" * 1_000_001)
    assert _problems([path]) == [f"{path}: is larger than 1,000,000 bytes; this is no configuration file"]


def test_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_text("version: 1\nkind: domain\nname: retail\n", encoding="utf-8-sig")
    assert load_file(path).name == "retail"
