"""Where the servers are and how much may be in flight. Read from the environment, prefix `HEADRACE_`; the same in every mode."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.file_selection import OWN_DIRECTORY


class KafkaSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_KAFKA_")

    bootstrap_servers: str = Field(default="127.0.0.1:9092", description="host:port of one or more brokers, separated by commas")
    session_timeout_ms: int = Field(default=45_000, description="a worker that is silent for longer loses its partitions")
    replication_factor: int = Field(default=1, description="of the topics that Headrace creates")
    topic_prefix: str = Field(default="headrace", description="topics are <prefix>.rows.<domain>, <prefix>.dead.<domain>")
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="with TLS (ssl), with a user's name and password (sasl), or with both"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how the password is proven; PLAIN sends it as it is, so only with sasl_ssl"
    )
    sasl_username: str = Field(default="", description="for sasl_plaintext and sasl_ssl")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="for sasl_plaintext and sasl_ssl")
    ca_file: str = Field(default="", description="PEM file of who signed the brokers' certificates; absent: whom this system trusts")
    certificate_file: str = Field(default="", description="PEM file of this client's certificate, where brokers ask for one")
    key_file: str = Field(default="", description="PEM file of that certificate's key")
    key_password: SecretStr = Field(default=SecretStr(""), description="of that file")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol in ("ssl", "sasl_ssl")

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol in ("sasl_plaintext", "sasl_ssl")

    @model_validator(mode="after")
    def _fits_its_protocol(self) -> Self:
        """What is set and would not be used is refused: somebody believes that the connection is safe."""
        if self.uses_sasl and not (self.sasl_username and self.sasl_password.get_secret_value()):
            raise ValueError(f"SASL_USERNAME and SASL_PASSWORD are needed for SECURITY_PROTOCOL {self.security_protocol}")
        if not self.uses_sasl and (self.sasl_username or self.sasl_password.get_secret_value()):
            raise ValueError("SASL_USERNAME and SASL_PASSWORD are used with SECURITY_PROTOCOL sasl_ssl or sasl_plaintext only")
        if self.security_protocol == "sasl_plaintext" and self.sasl_mechanism == "PLAIN":
            raise ValueError("SASL_MECHANISM PLAIN would send the password readable; use SECURITY_PROTOCOL sasl_ssl, or a SCRAM mechanism")
        if not self.uses_tls and (self.ca_file or self.certificate_file or self.key_file):
            raise ValueError("CA_FILE, CERTIFICATE_FILE and KEY_FILE are used with SECURITY_PROTOCOL ssl or sasl_ssl only")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("CERTIFICATE_FILE and KEY_FILE go together")
        return self


class RedisSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_REDIS_")

    url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), description="redis:// or rediss://; a password in it is a secret")
    cluster: bool = Field(default=False, description="the URL names one node of a Redis Cluster")
    durability: Literal["waitaof", "fsync_always", "everysec"] = Field(
        default="waitaof",
        description="what makes a commit durable: WAITAOF, a server with appendfsync always, or (may lose the last second) neither",
    )
    replicas: int = Field(
        default=0,
        ge=0,
        description="with `waitaof`: so many replicas of a node have a write on disk, too, before anything relies on it: a failover to one loses nothing then",
    )
    timeout_seconds: float = Field(default=10.0, description="of one command; a server that is silent for longer counts as unavailable")
    ca_file: str = Field(
        default="", description="with rediss://: PEM file of who signed the server's certificate; absent: whom this system trusts"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.replicas and self.durability != "waitaof":
            raise ValueError("REPLICAS is used with DURABILITY waitaof only: nothing else waits for them")
        if self.ca_file and not self.url.get_secret_value().startswith("rediss:"):
            raise ValueError("CA_FILE is used with a URL that begins with rediss:// only")
        return self


class S3Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_S3_")

    endpoint_url: str | None = Field(default=None, description="for an S3 other than Amazon's")
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None


class WorkerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_WORKER_")

    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, description="of /health and /metrics; 0: a free one, printed at start")
    drain_seconds: float = Field(default=30.0, description="how long a worker may finish what it holds after SIGTERM")


class MailSettings(BaseSettings):
    """The SMTP server that takes the mails about runs (SPEC C6)."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_MAIL_")

    host: str = Field(default="", description="of the SMTP server; absent: no mails are sent")
    port: int = Field(default=587, description="of the SMTP server")
    security: Literal["starttls", "tls", "none"] = Field(default="starttls", description="how the connection is made safe")
    ca_file: str = Field(default="", description="PEM file of who signed the server's certificate; absent: whom this system trusts")
    username: str = Field(default="", description="absent: without logging in")
    password: SecretStr = Field(default=SecretStr(""), description="of that user")
    sender: str = Field(default="", description="address that mails come from, like headrace@example.com")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.host and not self.sender:
            raise ValueError("SENDER is needed with HOST")
        if self.username and self.security == "none":
            raise ValueError("USERNAME would be sent readable with its password; use SECURITY starttls or tls")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("USERNAME and PASSWORD go together")
        return self


class ApiSettings(BaseSettings):
    """The HTTP API (docs/api.md)."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_API_")

    host: str = Field(default="127.0.0.1", description="address that the API listens on")
    port: int = Field(default=8443, ge=0, le=65_535, description="port of it; 0: a free one, printed at start")
    public_url: str = Field(
        default="", description="how clients reach it, like https://profiles.example.com; absent: what each request says in its Host header"
    )
    certificate_file: str = Field(default="", description="PEM file of its certificate, with those between; absent: without TLS")
    key_file: str = Field(default="", description="PEM file of that certificate's key")
    principals_file: str = Field(default="", description="who may call it and do what (docs/api.md); needed")
    master_key: SecretStr = Field(
        default=SecretStr(""),
        description="64 hex characters: seals what is kept of upload keys, signs page tokens; the same for all processes",
    )
    region: str = Field(default="", description="that signatures must name; absent: any")
    partitions: int = Field(default=32, ge=1, le=4096, description="of the domains that clients create")
    snapshot_buckets: str = Field(default="", description="buckets that snapshots may be written to, separated by commas; absent: none")
    clock_seconds: int = Field(
        default=300, ge=1, le=900, description="how far a request's time may be from this machine's, before or behind"
    )
    max_body_bytes: int = Field(default=1_048_576, ge=1_024, description="a larger request is refused; uploads have their own limit")
    max_concurrency: int = Field(
        default=32,
        ge=1,
        le=1_000,
        description="calls that are worked on at a time, of one principal a half of them; others wait for a moment",
    )
    max_connections: int = Field(default=1_000, ge=2, description="that are open at a time; beyond them requests are answered 503")
    max_uploads: int = Field(
        default=8,
        ge=1,
        description="files that are uploaded at a time, of one job 2 of them, each with up to 30 MB of memory; others get SlowDown (503)",
    )
    upload_bytes_per_second: int = Field(
        default=65_536, ge=1, description="that a client has to send of a file, in the long run; who is a minute behind is broken off"
    )
    requests_per_second: float = Field(default=50.0, gt=0, description="that one principal may make of one process, in the long run")
    burst: int = Field(default=100, ge=1, description="that it may make at once")
    audit_reads: int = Field(
        default=1_000_000,
        ge=1,
        description="calls that changed nothing, of which the audit trail keeps the latest; what changes anything it keeps for ever",
    )
    drain_seconds: float = Field(default=30.0, description="how long calls may go on after SIGTERM")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("CERTIFICATE_FILE and KEY_FILE go together")
        return self

    @property
    def is_readable_by_others(self) -> bool:
        """Whether requests and answers go over a network without TLS, as far as these settings tell (SPEC U12)."""
        alone = self.host == "localhost" or self.host.startswith("127.") or self.host == "::1"
        return not (alone or self.certificate_file or self.public_url.startswith("https://"))

    @property
    def snapshot_bucket_names(self) -> frozenset[str]:
        return frozenset(name.strip() for name in self.snapshot_buckets.split(",") if name.strip())


class UploadSettings(BaseSettings):
    """Upload jobs of the API (docs/uploads.md)."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_UPLOADS_")

    bucket: str = Field(
        default="headrace-uploads", description="where uploaded files are kept, encrypted, until their job is over; it must be there"
    )
    directory: str = Field(default="", pattern="^(.*/)?$", description="in that bucket, like uploads/; absent: its root")
    most_bytes: int = Field(default=5 * 1024**3, ge=1, le=5 * 1024**3, description="that a file may have")
    most_records: int = Field(default=1_000_000, ge=1, le=1_000_000, description="that a file may have")
    phone_region: str = Field(
        default="US", pattern="^([A-Z]{2})?$", description="country of phone numbers that are written without +; absent: such are refused"
    )

    def directory_of(self, domain: str, job_id: str) -> str:
        """Where all that is uploaded for a job lies."""
        return f"{self.directory}{OWN_DIRECTORY}/uploads/{domain}/{job_id}/"


class Settings(BaseSettings):
    """All settings. `Settings()` reads the environment."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_")

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    s3: S3Settings = Field(default_factory=S3Settings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    uploads: UploadSettings = Field(default_factory=UploadSettings)
    address_secret: SecretStr = Field(
        default=SecretStr(""), description="goes into the addresses of new domains, so that they can't be guessed from e-mails"
    )
