"""What is read from a server's append-only file."""

from __future__ import annotations

from tests.faults.commit_log import Command, Keyspace, changes
from tests.faults.versions import has_bit, numbers_in


def written(*commands: list[str | bytes]) -> bytes:
    parts = [[one.encode() if isinstance(one, str) else one for one in command] for command in commands]
    return b"".join(b"*%d\r\n" % len(one) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in one) for one in parts)


LOG = written(
    ["SELECT", "0"],
    ["MULTI"],
    ["SETRANGE", "a", "2", b"\r\n"],
    ["HSET", "h", "x", "1", "y", "2"],
    ["EXEC"],
    ["MSET", "b", "*3\r\n", "c", ""],
)


def test_what_stands_between_multi_and_exec_is_one_change() -> None:
    read = [[command[0] for command in change] for change in changes(b"#TS:17\r\n" + LOG)]
    assert read == [[b"SELECT"], [b"SETRANGE", b"HSET"], [b"MSET"]]


def test_a_tail_that_was_cut_off_is_left_out() -> None:
    whole = list(changes(LOG))
    for size in range(len(LOG)):
        found = list(changes(LOG[:size]))
        assert found == whole[: len(found)]
        assert len(found) < len(whole)


def test_a_keyspace_is_what_its_writes_made_of_it() -> None:
    space = Keyspace()
    wrote = [space.apply(change) for change in changes(LOG)]
    assert wrote == [set(), {b"a", b"h"}, {b"b", b"c"}]
    assert space.strings == {b"a": b"\0\0\r\n", b"b": b"*3\r\n", b"c": b""}
    more: list[Command] = [
        [b"SET", b"m", b"\xf0", b"PX", b"5"],
        [b"BITOP", b"AND", b"both", b"m", b"a"],
        [b"BITOP", b"xor", b"m", b"m", b"absent"],
        [b"SETRANGE", b"m", b"0", b"\x81"],
        [b"HDEL", b"h", b"x"],
        [b"UNLINK", b"a", b"c"],
        [b"RPUSH", b"list", b"1"],
    ]
    assert space.apply(more) == {b"m", b"both", b"h", b"a", b"c"}
    assert space.strings == {b"b": b"*3\r\n", b"m": b"\x81", b"both": b"\0\0\0\0"}
    assert space.hashes == {b"h": {b"y": b"2"}}


def test_a_hash_that_moved_to_another_node_is_there_what_it_was() -> None:
    before = Keyspace()
    before.apply([[b"HSET", b"h", b"x", b"1"]])
    before.apply([[b"DEL", b"h"]])
    space = Keyspace(before.left)
    space.apply([[b"RESTORE", b"h", b"0", b"of its own form"], [b"HSET", b"h", b"y", b"2"]])
    assert space.hashes == {b"h": {b"x": b"1", b"y": b"2"}}


def test_bits_are_numbers() -> None:
    bits = b"\x81\0\x40"
    assert list(numbers_in(bits)) == [0, 7, 17]
    assert [number for number in range(40) if has_bit(bits, number)] == [0, 7, 17]
