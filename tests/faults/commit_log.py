"""What a server has written, read from its append-only file: every state that its data went through, one atomic change after the other.

A script's writes stand between MULTI and EXEC: whoever reads sees all of them or none. So the states behind each of these changes are all that any
reader can ever have seen, and what is to hold at every moment can be checked at each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce

Command = list[bytes]
Change = list[Command]


def changes(log: bytes) -> Iterator[Change]:
    """In their order; a tail that a crash has cut off is left out."""
    open_change: Change | None = None
    for command in _commands(log):
        match command[0].upper():
            case b"MULTI":
                open_change = []
            case b"EXEC":
                yield open_change or []
                open_change = None
            case _ if open_change is not None:
                open_change.append(command)
            case _:
                yield [command]


def _commands(log: bytes) -> Iterator[Command]:
    """`*<parts> CRLF`, then `$<bytes> CRLF <part> CRLF` for each; lines with # are remarks."""
    at, size = 0, len(log)
    while at < size:
        end = log.find(b"\n", at)
        if end < 0:
            return
        if log[at : at + 1] == b"#":
            at = end + 1
            continue
        parts, count, at = [], int(log[at + 1 : end - 1]), end + 1
        for _ in range(count):
            end = log.find(b"\n", at)
            if end < 0:
                return
            stop = end + 1 + int(log[at + 1 : end - 1])
            parts.append(log[end + 1 : stop])
            at = stop + 2
        if at > size:
            return
        yield parts


@dataclass(slots=True)
class Keyspace:
    """Strings and hashes as the writes so far have made them; other types, and when keys expire, are left aside.

    `left`: hashes as they were when they were removed. A key that came from another node of a cluster comes in a form of its own: what a hash then
    holds is what that node removed, where its log was read first.
    """

    left: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    strings: dict[bytes, bytes] = field(default_factory=dict)
    hashes: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)

    def apply(self, change: Change) -> set[bytes]:
        """The keys that it wrote."""
        written: set[bytes] = set()
        for command in change:
            written.update(self._apply(command))
        return written

    def _apply(self, command: Command) -> Iterable[bytes]:
        name, *arguments = command
        match name.upper(), arguments:
            case b"SET", [key, value, *_]:
                self.strings[key] = value
            case b"MSET", pairs:
                self.strings.update(zip(pairs[::2], pairs[1::2], strict=True))
                return pairs[::2]
            case b"SETRANGE", [key, offset, part]:
                self.strings[key] = _with_part(self.strings.get(key, b""), int(offset), part)
            case b"BITOP", [operation, key, *sources]:
                self.strings[key] = _combined(operation.upper(), [self.strings.get(one, b"") for one in sources])
            case b"HSET" | b"HMSET", [key, *pairs]:
                self.hashes.setdefault(key, {}).update(zip(pairs[::2], pairs[1::2], strict=True))
            case b"HSETNX", [key, name, value]:
                self.hashes.setdefault(key, {}).setdefault(name, value)
            case b"HDEL", [key, *names]:
                for one in names:
                    self.hashes.get(key, {}).pop(one, None)
            case b"DEL" | b"UNLINK", gone:
                self._remove(gone)
                return gone
            case b"RESTORE" | b"RESTORE-ASKING", [key, *_]:
                self.hashes[key] = dict(self.left.get(key, {}))
            case _:
                return ()
        return (key,)

    def _remove(self, gone: Iterable[bytes]) -> None:
        for key in gone:
            self.strings.pop(key, None)
            if (removed := self.hashes.pop(key, None)) is not None:
                self.left[key] = removed


def _with_part(value: bytes, offset: int, part: bytes) -> bytes:
    return value[:offset].ljust(offset, b"\0") + part + value[offset + len(part) :]


def _combined(operation: bytes, sources: list[bytes]) -> bytes:
    size = max(map(len, sources))
    numbers = [int.from_bytes(one.ljust(size, b"\0")) for one in sources]
    return reduce(_OPERATIONS[operation], numbers).to_bytes(size)


_OPERATIONS = {b"AND": int.__and__, b"OR": int.__or__, b"XOR": int.__xor__}
