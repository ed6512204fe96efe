"""An application's own table, whose one row everybody wants to change, and functions that fail on demand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from cryptoassets_core.database import connect


class Base(DeclarativeBase):
    """An application's own tables."""


class Counter(Base):
    """A row that everybody wants to change."""

    __tablename__ = "counter"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]


def value(engine: Engine) -> int:
    with Session(engine) as session:
        return session.get_one(Counter, 1).value


def conflict() -> DBAPIError:
    class Refused(Exception):
        pgcode = "40001"

    return OperationalError("UPDATE", {}, Refused("could not serialize access"))


class Moody:
    """Fails with the given errors, one after the other, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, session: Session) -> int:
        self.calls += 1
        session.get_one(Counter, 1).value += 1
        session.flush()
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


@contextmanager
def counting(url: str) -> Iterator[Engine]:
    """Lend an engine whose database has the table, with a row at zero."""
    engine = connect(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Counter(id=1, value=0))
        session.commit()
    yield engine
    engine.dispose()
