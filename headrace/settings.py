"""Where the servers are and how much may be in flight. Read from the environment, prefix `HEADRACE_`; the same in every mode."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_KAFKA_")

    bootstrap_servers: str = Field(default="127.0.0.1:9092", description="host:port of one or more brokers, separated by commas")
    session_timeout_ms: int = Field(default=45_000, description="a worker that is silent for longer loses its partitions")
    replication_factor: int = Field(default=1, description="of the topics that Headrace creates")
    topic_prefix: str = Field(default="headrace", description="topics are <prefix>.rows.<domain>, <prefix>.dead.<domain>")


class RedisSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_REDIS_")

    url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), description="redis:// or rediss://; a password in it is a secret")
    cluster: bool = Field(default=False, description="the URL names one node of a Redis Cluster")
    durability: Literal["waitaof", "fsync_always", "everysec"] = Field(
        default="waitaof",
        description="what makes a commit durable: WAITAOF, a server with appendfsync always, or (may lose the last second) neither",
    )
    timeout_seconds: float = Field(default=10.0, description="of one command; a server that is silent for longer counts as unavailable")


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


class Settings(BaseSettings):
    """All settings. `Settings()` reads the environment."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_")

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    s3: S3Settings = Field(default_factory=S3Settings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    address_secret: SecretStr = Field(
        default=SecretStr(""), description="goes into the addresses of new domains, so that they can't be guessed from e-mails"
    )
