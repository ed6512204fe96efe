"""Run work in database transactions that may meet conflicts, and replay it when they do.

Databases that keep concurrent transactions apart do so by refusing one of them now and then. What was refused has left
no trace, so it may be run again; this module does so, a bounded number of times, with growing random pauses in between.
It needs no app and serves tables of your own as well.

A connection that is lost before the commit was asked for has left no trace either, and is replayed likewise: the server
was restarted, for example. One that is lost while committing is not, unless the work is said to be idempotent: nobody
knows whether the server did it.
"""

from __future__ import annotations

import functools
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from cryptoassets_core.errors import CannotResolveDatabaseConflict

P = ParamSpec("P")
R = TypeVar("R")

#: SQLSTATEs of PostgreSQL, and of what speaks its protocol, after which the same work may succeed.
#: Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes": serialization_failure, deadlock_detected.
_RETRYABLE_SQLSTATES = frozenset({"40001", "40P01"})

#: Primary result codes of SQLite likewise, SQLITE_BUSY and SQLITE_LOCKED. Source: sqlite.org, "Result Codes".
_RETRYABLE_SQLITE_CODES = frozenset({5, 6})

FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 1.0


def _is_conflict(error: DBAPIError) -> bool:
    original = error.orig
    state = getattr(original, "pgcode", None) or getattr(original, "sqlstate", None)
    code = getattr(original, "sqlite_errorcode", None)
    # The low byte is SQLite's primary code; the rest tells the circumstances.
    return state in _RETRYABLE_SQLSTATES or (code is not None and code & 0xFF in _RETRYABLE_SQLITE_CODES)


#: Two processes that make the same account, or use the same idempotency key, at once: the one that comes second finds,
#: when it is replayed, what the first has made. Names as in ``models.base.NAMING_CONVENTION``.
_OUR_UNIQUE_CONSTRAINT = re.compile(r"uq_[a-z0-9]+_(wallet|account|address|transaction)_")


def _lost_a_race(error: IntegrityError) -> bool:
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return constraint is not None and _OUR_UNIQUE_CONSTRAINT.match(constraint) is not None


#: Exception classes that may be conflicts, each with the test that tells.
DATABASE_CONFLICT_ERRORS: list[tuple[type[Exception], Callable[..., bool] | None]] = [
    (StaleDataError, None),
    (DBAPIError, _is_conflict),
    (IntegrityError, _lost_a_race),
]


#: Marks the error of a connection that was lost when the server may have committed already.
_MAY_BE_COMMITTED = "the connection was lost while committing: look whether the work was done before doing it again"


def _note_unknown_outcome(error: DBAPIError) -> None:
    if error.connection_invalidated:
        error.add_note(_MAY_BE_COMMITTED)


def _may_be_committed(error: Exception) -> bool:
    return _MAY_BE_COMMITTED in getattr(error, "__notes__", ())


def _is_lost_connection(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


class ConflictResolver:
    """Gives sessions to functions, commits what they did, and replays them after conflicts.

    :ivar stats: how many calls ended in ``success``, met ``retries`` and ``errors``, and stayed ``unresolved``.
    """

    def __init__(
        self,
        session_factory: Callable[[], Session],
        retries: int = 3,
        *,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """
        :param session_factory: makes a session for each try.
        :param retries: how often work is replayed before giving up.
        :param sleep: waits for some seconds.
        :param uniform: draws a number between two others.
        """
        self.session_factory = session_factory
        self.retries = retries
        self.stats: Counter[str] = Counter(success=0, retries=0, errors=0, unresolved=0)
        self._sleep, self._uniform = sleep, uniform
        self._counting = threading.Lock()
        self._joined = threading.local()

    @classmethod
    def is_retryable_exception(cls, e: BaseException) -> bool:
        """Tell whether an exception is a database conflict, which managed functions must let through."""
        return any(isinstance(e, kind) and (test is None or test(e)) for kind, test in DATABASE_CONFLICT_ERRORS)

    def managed_transaction(self, func: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
        """Decorate a function that takes a session first: it runs in a transaction, replayed after conflicts.

        Called from within another managed function, it joins that one's transaction and commits nothing itself. The
        function must have no effect outside its session: it may run several times. It is replayed too when the
        connection is lost before the commit, and never when it is lost while committing.

        :raises CannotResolveDatabaseConflict: there was a conflict at every try.
        :raises DBAPIError: the database failed; if the connection was lost while committing, the error has a note that
            says so, and nobody knows whether the work was committed.
        """
        return self._managed(func, self.retries)

    def managed_non_retryable_transaction(self, func: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
        """Decorate likewise a function that must not run twice; a conflict is raised at once."""
        return self._managed(func, 0)

    def run(self, work: Callable[[Session], R], *, isolation_level: str | None = None, idempotent: bool = False) -> R:
        """Run work in a transaction, replayed after conflicts.

        :param isolation_level: for single-purpose transactions that carry their own guards, else SERIALIZABLE.
        :param idempotent: doing it twice is the same as doing it once, so that it may be replayed even when the
            connection was lost while it was being committed.
        :raises DBAPIError: the connection was lost while committing, and nobody knows whether the work was committed.
        """
        outer = self._current()
        if outer is not None:
            return work(outer)
        return self._replay(lambda: self._try(work, isolation_level), self.retries, idempotent=idempotent)

    def run_statement(self, statement: Callable[[], R], *, idempotent: bool = False) -> R:
        """Run what is a single statement and a transaction by itself, replayed after conflicts.

        :param idempotent: as for :py:meth:`run`; a connection lost meanwhile is always lost while committing.
        """

        def attempt() -> R:
            try:
                return statement()
            except DBAPIError as error:
                _note_unknown_outcome(error)
                raise

        return self._replay(attempt, self.retries, idempotent=idempotent)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a managed function, whose transaction another one would join."""
        return self._current() is not None

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a transaction for a ``with`` block, which cannot be replayed: conflicts are raised."""
        outer = self._current()
        if outer is not None:
            yield outer
            return
        with self._session(None) as session:
            yield session

    def _managed(self, func: Callable[Concatenate[Session, P], R], retries: int) -> Callable[P, R]:
        @functools.wraps(func)
        def managed(*args: P.args, **kwargs: P.kwargs) -> R:
            outer = self._current()
            if outer is not None:
                return func(outer, *args, **kwargs)
            return self._replay(lambda: self._try(lambda session: func(session, *args, **kwargs), None), retries)

        return managed

    def _replay(self, attempt: Callable[[], R], retries: int, *, idempotent: bool = False) -> R:
        conflict: Exception | None = None
        for number in range(retries + 1):
            if number:
                self._count("retries")
                self._sleep(self._pause_seconds(number))
            try:
                result = attempt()
            except Exception as error:
                lost = _is_lost_connection(error) and (idempotent or not _may_be_committed(error))
                if not (lost and number < retries) and not self.is_retryable_exception(error):
                    self._count("errors")
                    raise
                conflict = error
            else:
                self._count("success")
                return result
        self._count("unresolved")
        raise CannotResolveDatabaseConflict(
            f"the database refused the transaction {retries + 1} times because others were changing the same rows; "
            "nothing was written"
        ) from conflict

    def _try(self, work: Callable[[Session], R], isolation_level: str | None) -> R:
        with self._session(isolation_level) as session:
            return work(session)

    @contextmanager
    def _session(self, isolation_level: str | None) -> Iterator[Session]:
        session = self.session_factory()
        try:
            if isolation_level is not None and session.get_bind().dialect.name != "sqlite":
                session.connection(execution_options={"isolation_level": isolation_level})
            self._joined.session = session
            yield session
            session.flush()
            try:
                session.commit()
            except DBAPIError as error:
                _note_unknown_outcome(error)
                raise
        except BaseException:
            session.rollback()
            raise
        finally:
            self._joined.session = None
            session.close()

    def _current(self) -> Session | None:
        return getattr(self._joined, "session", None)

    def _count(self, outcome: str) -> None:
        # Adding is reading and writing, and many threads may share a resolver.
        with self._counting:
            self.stats[outcome] += 1

    def _pause_seconds(self, attempt: int) -> float:
        """Full jitter: any time up to a limit that doubles, so that rivals do not meet again."""
        return self._uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt))
