"""One real Redis for all tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryptoassets_core.testing import require
from cryptoassets_redis.testing import TemporaryRedis

PASSWORD = "s3cret-of-redis"


@pytest.fixture(scope="module")
def server() -> Iterator[TemporaryRedis]:
    """A server with a password; a test that stops it starts it again."""
    require("redis-server", "redis-server")
    with TemporaryRedis(password=PASSWORD) as running:
        yield running
