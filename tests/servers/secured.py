"""Servers that let in only whom they know: Kafka with TLS and SASL, Redis behind TLS. Certificates are made for each run."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from deployments.embedded.prefect import SERVER_START_SECONDS, PrefectServer, server_settings
from deployments.embedded.processes import LOOPBACK, ChildProcess, ProcessSpec, free_port, http_probe, program_environment
from tests.servers.kafka import KafkaBroker, KafkaJars
from tests.servers.prefect_database import put_migrated_database

USER, PASSWORD = "headrace", "a password of Kafka's"


@dataclass(frozen=True)
class Authority:
    """Who signs for the servers of a test. `ca_file`: what clients trust."""

    authority: trustme.CA
    ca_file: Path

    @classmethod
    def make(cls, directory: Path) -> Authority:
        authority, ca_file = trustme.CA(), directory / "ca.pem"
        authority.cert_pem.write_to_path(ca_file)
        return cls(authority, ca_file)

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(LOOPBACK).configure_cert(context)
        return context


@contextmanager
def guarded_prefect(directory: Path, who: str) -> Iterator[PrefectServer]:
    """A Prefect server that asks every client for `who` (`user:password`)."""
    port, home = free_port(), directory / "home"
    put_migrated_database(home)
    command = (sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port), "--analytics-off")
    environment = program_environment(server_settings(port, home) | {"PREFECT_SERVER_API_AUTH_STRING": who})
    process = ChildProcess.start(
        ProcessSpec(f"guarded Prefect server on port {port}", command, environment, home, directory / "server.log")
    )
    try:
        process.wait_until_ready(http_probe(f"http://{LOOPBACK}:{port}/api/health"), seconds=SERVER_START_SECONDS)
        yield PrefectServer(process, port, home)
    finally:
        process.stop()


class SecuredKafka(KafkaBroker):
    """Clients come in by TLS and with a password, as PLAIN or SCRAM; the broker talks to itself on another port."""

    def __init__(self, jars: KafkaJars, directory: Path, authority: Authority) -> None:
        super().__init__(jars, directory)
        self._authority = authority.authority

    def format_options(self) -> tuple[str, ...]:
        return ("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")

    def settings(self) -> dict[str, str]:
        settings = super().settings()
        [controller] = [one for one in settings["listeners"].split(",") if one.startswith("CONTROLLER:")]
        listeners = f"SASL_SSL://{LOOPBACK}:{self.port},INSIDE://{LOOPBACK}:{free_port()},{controller}"
        return settings | {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INSIDE",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore()),
        }

    def _keystore(self) -> Path:
        path = self.directory / "server.pem"
        issued = self._authority.issue_cert(LOOPBACK)
        chain = b"".join(one.bytes() for one in issued.cert_chain_pems)
        path.write_bytes(_as_pkcs8(issued.private_key_pem.bytes()) + chain)
        return path


def _as_pkcs8(key: bytes) -> bytes:
    """The only form of a key that Kafka reads."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

    return load_pem_private_key(key, None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def tls_front(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """The port of a TLS server that hands everything on to `port`, for a server that has no TLS built in."""
    with closing(socket.create_server((LOOPBACK, 0))) as listening:
        accepting = threading.Thread(target=_accept, args=(listening, port, context), daemon=True)
        accepting.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
    accepting.join(10)


def _accept(listening: socket.socket, port: int, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, port, context), daemon=True).start()


def _serve(plain: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with suppress(OSError), context.wrap_socket(plain, server_side=True) as outside, socket.create_connection((LOOPBACK, port)) as inside:
        back = threading.Thread(target=_pump, args=(inside, outside), daemon=True)
        back.start()
        _pump(outside, inside)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
