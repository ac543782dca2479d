"""Compressed files: by what they are, whole, and in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from headrace.errors import SourceChangedError, TerminalError, UnsupportedFormatError
from object_store.compression import decompressed

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from object_store.store import ObjectStore
    from tests.servers.cut_proxy import CutProxy

TEXT = "\n".join(f"{number},Zoë,{number * 7919 % 1000}" for number in range(60_000)).encode()
NOISE = random.Random(3).randbytes(400_000)
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
MIB = 1 << 20
Pack = Callable[[bytes], bytes]


class Raw(io.RawIOBase):
    """Bytes as a raw stream that gives at most `step` at a time."""

    def __init__(self, data: bytes, step: int = 70_000) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self._step = step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._data.readinto(memoryview(buffer)[: self._step])


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return bytes(sink.getvalue().to_pybytes())


def unpacked(data: bytes, name: str = "a.csv", step: int = 70_000, ask: int = 50_000) -> bytes:
    with decompressed(Raw(data, step), f"s3://b/{name}") as stream:
        return b"".join(iter(lambda: stream.read(ask) or b"", b""))


@pytest.mark.spec("I11")
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a"])
@pytest.mark.parametrize(
    ("stored", "plain"),
    [
        (gzip.compress(TEXT), TEXT),
        (gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(NOISE) + gzip.compress(b"x"), TEXT + NOISE + b"x"),
        (gzip.compress(TEXT) + b"\0" * 1000, TEXT),
        (gzip.compress(b""), b""),
        (b"".join(gzip.compress(bytes([65 + number % 26])) for number in range(3000)), bytes(65 + number % 26 for number in range(3000))),
        (zstd(TEXT), TEXT),
        (zstd(TEXT) + zstd(NOISE) + SKIPPABLE + zstd(b"x"), TEXT + NOISE + b"x"),
        (SKIPPABLE + zstd(TEXT), TEXT),
        (TEXT, TEXT),
        (b"\xff\xfe" + TEXT.decode().encode("utf-16-le"), b"\xff\xfe" + TEXT.decode().encode("utf-16-le")),
    ],
    ids=[
        "gzip",
        "gzip members",
        "gzip padded",
        "gzip of nothing",
        "many members",
        "zstd",
        "zstd frames",
        "zstd skippable",
        "plain",
        "utf-16",
    ],
)
def test_what_the_bytes_are_decides(stored: bytes, plain: bytes, name: str) -> None:
    assert unpacked(stored, name) == plain


@pytest.mark.spec("I11")
@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
@pytest.mark.parametrize(("step", "ask"), [(1, 100_000), (100_000, 1), (7, 11)])
def test_any_size_of_reads(pack: Pack, step: int, ask: int) -> None:
    data = TEXT[:3000] + NOISE[:3000]
    assert unpacked(pack(data) + pack(data), step=step, ask=ask) == data * 2


@pytest.mark.spec("I11")
def test_plain_files_that_begin_like_something_else() -> None:
    for data in (b"", b"B", b"BZh9,a\n", b"PK,a\n", b"Rar!,a\n", b"\x1f", b"(,a"):
        assert unpacked(data) == data


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", TEXT)
    return sink.getvalue()


@pytest.mark.spec("I11")
@pytest.mark.parametrize(
    ("data", "kind"), [(zipped(), "zip"), (bz2.compress(TEXT), "bzip2"), (lzma.compress(TEXT), "xz"), (b"7z\xbc\xaf\x27\x1c...", "7z")]
)
@pytest.mark.parametrize("name", ["a.csv", "a.zip", "a.csv.gz"])
def test_other_archives_are_refused_with_what_to_do(data: bytes, kind: str, name: str) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        unpacked(data, name)
    assert kind in str(caught.value)
    assert f"s3://b/{name}" in str(caught.value)
    assert "Unpack it first, or use gzip" in str(caught.value)


@pytest.mark.spec("I11")
@pytest.mark.parametrize("stored", [gzip.compress(TEXT), gzip.compress(NOISE), zstd(TEXT), zstd(NOISE), gzip.compress(b"x"), zstd(b"x")])
def test_a_file_that_was_cut_off_is_never_taken_for_a_whole_one(stored: bytes) -> None:
    name = "a.csv.gz" if stored[0] == 0x1F else "a.csv.zst"
    for keep in {0, 1, 3, 5, 11, len(stored) // 3, len(stored) // 2, len(stored) - 9, len(stored) - 1}:
        if not 0 <= keep < len(stored):
            continue
        for before in (b"", stored) if keep else (b"",):
            with pytest.raises(TerminalError) as caught:
                unpacked(before + stored[:keep], name)
            assert caught.value.code == "TRUNCATED", (keep, len(before))
            assert f"s3://b/{name}" in str(caught.value)


@pytest.mark.spec("I11")
@pytest.mark.parametrize("at", [0.01, 0.3, 0.6, 0.99])
def test_a_damaged_gzip_is_told(at: float) -> None:
    stored = bytearray(gzip.compress(NOISE[:1000] + TEXT))
    stored[int(len(stored) * at)] ^= 0x55
    with pytest.raises(TerminalError) as caught:
        unpacked(bytes(stored), "a.csv.gz")
    assert caught.value.code in ("CORRUPT", "TRUNCATED")


@pytest.mark.spec("I11")
@pytest.mark.parametrize(
    ("data", "name"),
    [
        (gzip.compress(TEXT)[:-8] + b"\0" * 8, "a.csv.gz"),
        (gzip.compress(TEXT) + b"and something else", "a.csv.gz"),
        (zstd(TEXT) + b"and something else", "a.csv.zst"),
        (zstd(TEXT)[:6] + b"\xff" * 500, "a.csv.zst"),
        (b"\x00\x01\x02\x03binary", "a.csv.gz"),
        (b"\x00\x01\x02\x03binary", "a.csv.zst"),
    ],
    ids=["wrong checksum", "gzip and text", "zstd and text", "bad zstd", "no gzip", "no zstd"],
)
def test_damaged_bytes_are_told(data: bytes, name: str) -> None:
    with pytest.raises(TerminalError) as caught:
        unpacked(data, name)
    assert caught.value.code == "CORRUPT"
    assert f"s3://b/{name}" in str(caught.value)


@pytest.mark.spec("I12")
@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_compressed_object_over_a_link_that_breaks(
    faulty_store: ObjectStore, plain_client: S3Client, bucket: str, proxy: CutProxy, pack: Pack
) -> None:
    data = random.Random(5).randbytes(2_000_000)
    plain_client.put_object(Bucket=bucket, Key="a.csv", Body=pack(data))
    version = faulty_store.head(bucket, "a.csv")
    proxy.cut(300_000, times=5)
    with io.BufferedReader(faulty_store.open_text_bytes(version)) as whole:
        assert whole.read() == data
    assert proxy.cuts == 5
    proxy.cut(300_000)
    stream = faulty_store.open_text_bytes(version)
    read = stream.read(10) or b""
    plain_client.put_object(Bucket=bucket, Key="a.csv", Body=pack(data[::-1]))
    delivered = [read]
    with pytest.raises(SourceChangedError):
        delivered.extend(iter(lambda: stream.read(50_000) or b"", b""))
    assert data.startswith(b"".join(delivered))


READ_IT = """
import pathlib, re, sys
from object_store.access import S3Access
from object_store.store import ObjectStore
def peak_kib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
store = ObjectStore(S3Access(sys.argv[1], "us-east-1", "a", "b"))
def read(key):
    stream, size = store.open_text_bytes(store.head(sys.argv[2], key)), 0
    while data := stream.read(1 << 16):
        size += len(data)
    return size
read("small")
before = peak_kib()
print(read(sys.argv[3]), peak_kib() - before)
"""


@pytest.mark.spec("I12")
@pytest.mark.skipif(
    sys.platform != "linux", reason="reads the peak of its memory from /proc, since getrusage's is inherited from the parent"
)
@pytest.mark.parametrize("kind", ["large gzip", "gzip bomb", "zstd bomb"])
def test_memory_does_not_grow_with_the_file(
    s3_url: str, store: ObjectStore, plain_client: S3Client, bucket: str, tmp_path: Path, kind: str
) -> None:
    """200 MB of gzip, and 1 GB out of a small file. In a process of its own, so that its peak is its own."""
    block = random.Random(1).randbytes(MIB) if kind == "large gzip" else bytes(MIB)
    blocks = 200 if kind == "large gzip" else 1000
    with store.open_write(bucket, "large") as out:
        if kind == "zstd bomb":
            with pa.CompressedOutputStream(pa.OSFile(str(tmp_path / "bomb"), "wb"), "zstd") as packer:
                for _ in range(blocks):
                    packer.write(block)
            out.write((tmp_path / "bomb").read_bytes())
        else:
            gzip_packer = zlib.compressobj(0 if kind == "large gzip" else 1, wbits=31)
            for _ in range(blocks):
                out.write(gzip_packer.compress(block))
            out.write(gzip_packer.flush())
    plain_client.put_object(Bucket=bucket, Key="small", Body=zstd(TEXT) if kind == "zstd bomb" else gzip.compress(TEXT))
    done = subprocess.run(
        [sys.executable, "-c", READ_IT, s3_url, bucket, "large"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    size, grown_kib = map(int, done.stdout.split())
    assert size == blocks * MIB
    assert grown_kib < 24 * 1024
