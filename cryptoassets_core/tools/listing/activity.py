"""What went on lately, added up for pictures; each from a bounded stretch of the newest rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy import BigInteger, cast, extract, func, select, type_coerce
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.event.outbox import event_table
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.models.types import Amount
from cryptoassets_core.tools.listing.events import newest_deliveries
from cryptoassets_core.tools.listing.paging import WINDOW

#: Bars of a picture at most.
BARS: Final = 24

#: Widths of a bar, in seconds, from a minute to four weeks.
_WIDTHS: Final = (60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400, 28 * 86_400)

#: Events whose deliveries are looked at.
_EVENTS: Final = 1000

#: How long a delivery took at most, in seconds, and how that is called.
_LATENCIES: Final = (
    (1, "up to 1 s"),
    (10, "up to 10 s"),
    (60, "up to 1 min"),
    (600, "up to 10 min"),
    (3600, "up to 1 h"),
)


@dataclass(frozen=True, slots=True)
class Movements:
    """What came in and went out in one stretch of time."""

    begins_at: datetime
    #: Whole coins.
    deposits: Decimal
    withdrawals: Decimal


@dataclass(frozen=True, slots=True)
class History:
    """Deposits and withdrawals over time."""

    bars: list[Movements]
    width: timedelta
    #: How many transactions were looked at.
    looked_at: int


def read_history(session: Session, coin: Coin, *, now: datetime) -> History:
    """Add up deposits and withdrawals of the newest transactions.

    What was taken back, given up or is too small to be credited does not count.
    """
    transaction = coin.wallet_model.books().transaction
    newest = session.scalar(select(func.max(transaction.c.id))) or 0
    edge = newest - WINDOW
    first = session.execute(
        select(transaction.c.id, transaction.c.created_at)
        .where(transaction.c.id > edge)
        .order_by(transaction.c.id)
        .limit(1)
    ).one_or_none()
    if first is None:
        return History([], timedelta(0), 0)
    width = _width((now - first.created_at).total_seconds())
    place = cast(extract("epoch", transaction.c.created_at), BigInteger) // width
    total = type_coerce(func.sum(transaction.c.amount), Amount(coin.description.decimals))
    rows = session.execute(
        select(place, transaction.c.kind, total)
        .where(
            transaction.c.id > edge,
            transaction.c.kind.in_([TransactionKind.DEPOSIT, TransactionKind.WITHDRAWAL]),
            transaction.c.state.not_in(
                [
                    TransactionState.REVERSED,
                    TransactionState.BELOW_MINIMUM,
                    TransactionState.CANCELLED,
                    TransactionState.FAILED,
                ]
            ),
        )
        .group_by(place, transaction.c.kind)
    ).all()
    sums = {(int(number), kind): amount for number, kind, amount in rows}
    last = int(now.timestamp()) // width
    places = range(min(int(first.created_at.timestamp()) // width, last), last + 1)[-BARS:]
    return History(
        [
            Movements(
                datetime.fromtimestamp(number * width, UTC),
                sums.get((number, TransactionKind.DEPOSIT), Decimal(0)),
                sums.get((number, TransactionKind.WITHDRAWAL), Decimal(0)),
            )
            for number in places
        ],
        timedelta(seconds=width),
        newest - max(edge, first.id - 1),
    )


def read_confirmations(session: Session, coin: Coin) -> list[tuple[int, int]]:
    """Count the network transactions that are followed, by confirmations; the newest of them if there are many."""
    network = coin.wallet_model.books().network_transaction
    followed = select(network.c.confirmations).where(network.c.tracked).order_by(network.c.id.desc()).limit(WINDOW)
    confirmations = followed.subquery().c.confirmations
    rows = session.execute(select(confirmations, func.count()).group_by(confirmations).order_by(confirmations))
    return [(number, count) for number, count in rows]


def read_latencies(session: Session, sinks: Sequence[str]) -> list[tuple[str, int]]:
    """Count the newest deliveries by how long they took from the event to the sink's yes."""
    counted: Counter[str] = Counter()
    for sink in sinks:
        newest = newest_deliveries(session, sink, events=_EVENTS).subquery()
        made_at = select(event_table.c.created_at, newest.c.delivered_at).join(
            newest, newest.c.event_row_id == event_table.c.id
        )
        made_at = made_at.where(newest.c.delivered_at.is_not(None))
        counted.update(_called((delivered - made).total_seconds()) for made, delivered in session.execute(made_at))
    return [(name, counted[name]) for name in [*(name for _, name in _LATENCIES), "longer"]] if counted else []


def _called(seconds: float) -> str:
    return next((name for limit, name in _LATENCIES if seconds <= limit), "longer")


def _width(seconds: float) -> int:
    return next((width for width in _WIDTHS if seconds <= width * (BARS - 1)), _WIDTHS[-1])
