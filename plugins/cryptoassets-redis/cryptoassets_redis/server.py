"""Which Redis it is, and what to say when it does not do what it should."""

from __future__ import annotations

from typing import Final

import redis
from pydantic import BaseModel, Field, SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Longest wait for a connection or an answer.
TIMEOUT_SECONDS: Final = 10


class RedisServer(BaseModel):
    """Options that the channel and the sink share."""

    #: Where Redis runs.
    host: str = Field(default="localhost", min_length=1)
    #: TCP port of Redis.
    port: int = Field(default=6379, ge=1, le=65535)
    #: Number of the Redis database.
    db: int = Field(default=0, ge=0)
    #: User name, where Redis has users.
    username: str | None = None
    #: Password.
    password: SecretStr | None = None


def connect(server: RedisServer) -> redis.Redis:
    """Make a client; it connects when it is used, and tries nothing twice behind our back."""
    return redis.Redis(
        host=server.host,
        port=server.port,
        db=server.db,
        username=server.username,
        password=server.password.get_secret_value() if server.password is not None else None,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def named(server: RedisServer) -> str:
    """Name the server in a message; user and password stay out of it."""
    return f"Redis at {server.host}:{server.port}"


def reason(error: Exception) -> str:
    """Say what went wrong; the client's own words may repeat what was sent."""
    if isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError):
        return "it refuses the user name or the password, or what this user may do"
    if isinstance(error, redis.TimeoutError):
        return f"it did not answer in {TIMEOUT_SECONDS} seconds"
    if isinstance(error, redis.ConnectionError):
        return "it cannot be reached"
    return f"it answered with an error ({type(error).__name__})"
