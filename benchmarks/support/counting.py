"""Counts what a piece of work asks of the database, of the backend and of the network."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cryptoassets_bitcoind.transport import Connection
from cryptoassets_core.backend.base import CoinBackend

_METHODS = (
    "get_tip",
    "list_since",
    "get_transactions",
    "get_backend_balance",
    "prepare",
    "submit",
    "hold",
    "release",
)


@dataclass(slots=True)
class Cost:
    """What a piece of work took."""

    statements: int = 0
    backend_calls: int = 0
    http_requests: int = 0
    seconds: float = 0.0
    backend_seconds: float = 0.0

    @property
    def own_seconds(self) -> float:
        """Without what the backend took: our code and the database."""
        return self.seconds - self.backend_seconds


class Meter:
    """Measures work with one database and one backend."""

    def __init__(self, engine: sa.Engine, backend: CoinBackend) -> None:
        self._cost = Cost()
        sa.event.listen(engine, "before_cursor_execute", self._count_statement)
        for name in _METHODS:
            if hasattr(backend, name):
                setattr(backend, name, self._counted(getattr(backend, name)))

    def measure(self, work: Callable[[], object]) -> Cost:
        """Do the work and return what it took."""
        self._cost = cost = Cost()
        with _counted_requests(cost):
            began = time.perf_counter()
            work()
            cost.seconds = time.perf_counter() - began
        self._cost = Cost()  # what comes after is not this work's
        return cost

    def _count_statement(self, *_: object) -> None:
        self._cost.statements += 1

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def counted(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self._cost.backend_calls += 1
                self._cost.backend_seconds += time.perf_counter() - began

        return counted


@contextmanager
def _counted_requests(cost: Cost) -> Iterator[None]:
    request = Connection.request

    def counted(self: Connection, *args: Any, **kwargs: Any) -> None:
        cost.http_requests += 1
        request(self, *args, **kwargs)

    Connection.request = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Connection.request = request  # type: ignore[method-assign]
