"""A client of the fault schedules knows an answer that was cut by a kill from an empty one: botocore does not."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.faults.job_client import client_at, is_cut


def serve(server: socket.socket, announced: int, body: bytes) -> None:
    """One request, then nothing more."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % announced + body)


@pytest.mark.parametrize(
    ("announced", "body", "cut"),
    [(50, b"", True), (50, b'{"Jo', True), (2, b"{}", False), (0, b"", False), (15, b'{"JobId":"abc"}', False)],
)
def test_an_answer_that_is_cut_is_none(announced: int, body: bytes, cut: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=serve, args=(server, announced, body), daemon=True)
        answering.start()
        answer = client_at(f"http://127.0.0.1:{server.getsockname()[1]}").get_upload_job(DomainName="a", JobId="0" * 32)
        answering.join(10)
    assert is_cut(answer) == cut
