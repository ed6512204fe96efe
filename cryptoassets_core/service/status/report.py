"""What the daemon tells of itself: for the overview, for programs, and for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cryptoassets_core import __version__
from cryptoassets_core.backend.chainrefusals import refused_deposits
from cryptoassets_core.backend.syncstate import read_sync_state
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.database import cause
from cryptoassets_core.ledger.states import NetworkTransactionType, TransactionState
from cryptoassets_core.service.status.figures import Figures
from cryptoassets_core.tools.broadcastlist import open_broadcasts
from cryptoassets_core.tools.listing.events import newest_deliveries, read_queues
from cryptoassets_core.tools.listing.network import list_network_transactions
from cryptoassets_core.tools.listing.paging import Slice, bounded_count

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service


#: The newest events, among which the last delivery of a sink is looked for.
_EVENTS = 100


@dataclass(frozen=True, slots=True)
class CoinReport:
    """One coin at a glance."""

    name: str
    title: str
    network: str
    backend: str
    #: What is wrong, None if nothing is.
    problem: str | None
    #: Which daemon works for it; None while nobody does.
    leader: str | None
    last_success_at: datetime | None
    #: How often the backend or the database failed the daemon since it started; each was, or will be, tried again.
    failed_attempts: int
    last_wallet_notify: datetime | None
    #: What the backend's wallet holds, whole coins, and when it said so.
    hot_wallet: Decimal | None
    hot_wallet_at: datetime | None
    #: The block up to which the chain was followed. None here and below while the database cannot be asked.
    tip: str | None = None
    synced_at: datetime | None = None
    #: What all accounts have together, whole coins, and when they had it.
    balance: Decimal | None = None
    balance_at: datetime | None = None
    #: Withdrawals that wait for the broadcast. These are counted to 10,000; 10,001 means more.
    queued: int | None = None
    #: Deposits that wait for confirmations.
    incoming: int | None = None
    #: Broadcasts that are not settled, and those of them that only a person can settle.
    unsettled: int | None = None
    interrupted: int | None = None
    #: Broadcasts in conflict with the chain, whose withdrawals are not paid and whose coins stay reserved.
    conflicted: int | None = None
    last_broadcast_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SinkReport:
    """One event sink at a glance."""

    name: str
    #: What is wrong, None if nothing is.
    problem: str | None
    #: Events that wait for it and that it never took, counted to 10,000. None while the database cannot be asked.
    pending: int | None = None
    dead: int | None = None
    last_delivered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobReport:
    """One timed job."""

    name: str
    next_run_at: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """The daemon at a glance."""

    version: str
    at: datetime
    healthy: bool
    #: What is wrong beside the coins, a sentence each.
    problems: list[str]
    components: dict[str, bool]
    coins: list[CoinReport]
    sinks: list[SinkReport]
    jobs: list[JobReport]

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can carry: amounts as strings in fixed notation, times in ISO 8601."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value


def make_report(service: Service, figures: Figures | None = None) -> Report:
    """Look at everything the daemon runs."""
    figures = figures or Figures(service.app)
    components, problems = service.components(), service.problems()
    leaders = {leader.name: leader.place for leader in service.leadership.report()}
    coins = [_coin_report(coin, service, figures, leaders) for _, coin in service.app.coins.all()]
    sinks = [SinkReport(name, service.dispatcher.problems().get(name)) for name in _sinks(service)]
    try:
        with service.app.open_readonly_session(wait=False) as session:
            coins = [
                replace(report, **in_books(session, coin, figures))
                for report, (_, coin) in zip(coins, service.app.coins.all(), strict=True)
            ]
            for name, coin in service.app.coins.all():
                problems += [f"{name}: {refused}" for refused in refused_deposits(session, coin)]
            sinks = [replace(sink, **_in_outbox(session, sink.name)) for sink in sinks]
    except DBAPIError as error:
        problems.append(f"the database cannot be asked: {cause(error)}")
    problems += _left_to_people(coins, sinks)
    healthy = all(components.values()) and not problems and not any(coin.problem for coin in coins)
    return Report(__version__, utc_now(), healthy, problems, components, coins, sinks, _jobs(service))


def _coin_report(coin: Coin, service: Service, figures: Figures, leaders: Mapping[str, str | None]) -> CoinReport:
    worker = service.workers.get(coin.name)
    hot_wallet = figures.hot_wallet(coin)
    return CoinReport(
        name=coin.name,
        title=coin.description.title,
        network=coin.network,
        backend=type(coin.backend).__name__ if coin.backend else "none",
        problem=worker.health.problem if worker else None,
        leader=leaders.get(coin.name),
        last_success_at=worker.health.last_success_at if worker else None,
        failed_attempts=worker.health.failed_attempts if worker else 0,
        last_wallet_notify=worker.updater.last_wallet_notify if worker else None,
        hot_wallet=hot_wallet.amount if hot_wallet else None,
        hot_wallet_at=hot_wallet.at if hot_wallet else None,
    )


def in_books(session: Session, coin: Coin, figures: Figures) -> dict[str, Any]:
    """Return what the database tells of a coin, by the names of the report."""
    transaction = coin.transaction_model
    waiting = select(transaction.id).where(
        transaction.state == TransactionState.PENDING, transaction.network_transaction_id.is_(None)
    )
    broadcast = NetworkTransactionType.BROADCAST
    open_ones = open_broadcasts(session, coin)
    newest = list_network_transactions(session, coin, Slice(limit=1), kind=broadcast).rows
    state = read_sync_state(session, coin.wallet_model.books())
    balance = figures.balance(session, coin)
    return {
        "tip": state.tip,
        "synced_at": _synced_at(session, coin),
        "balance": balance.amount,
        "balance_at": balance.at,
        "queued": bounded_count(session, waiting),
        "incoming": bounded_count(session, select(transaction.id).where(transaction.is_uncredited_deposit())),
        "unsettled": sum(not each.conflicted for each in open_ones),
        "interrupted": sum(each.interrupted for each in open_ones),
        "conflicted": sum(each.conflicted for each in open_ones),
        "last_broadcast_at": (newest[0].opened_at or newest[0].created_at) if newest else None,
    }


def _synced_at(session: Session, coin: Coin) -> datetime | None:
    return session.scalar(select(coin.wallet_model.books().sync_state.c.synced_at))


def _in_outbox(session: Session, sink: str) -> dict[str, Any]:
    (queue,) = read_queues(session, [sink])
    delivered = [at for _, at in session.execute(newest_deliveries(session, sink, events=_EVENTS)) if at is not None]
    return {"pending": queue.pending, "dead": queue.dead, "last_delivered_at": max(delivered, default=None)}


def _left_to_people(coins: list[CoinReport], sinks: list[SinkReport]) -> list[str]:
    """Say what no machine will mend, or somebody should know of."""
    interrupted = [
        f"{coin.name}: interrupted broadcasts wait for a person: {coin.interrupted}; see cryptoassets broadcasts"
        for coin in coins
        if coin.interrupted
    ]
    conflicted = [
        f"{coin.name}: broadcasts in conflict with the chain, whose withdrawals are not paid: {coin.conflicted}; see "
        "cryptoassets broadcasts"
        for coin in coins
        if coin.conflicted
    ]
    dead = [
        f"event sink {sink.name}: events that were given up: {sink.dead}; see cryptoassets events"
        for sink in sinks
        if sink.dead
    ]
    return interrupted + conflicted + dead


def _sinks(service: Service) -> list[str]:
    return [sink.name for sink in service.app.event_handler_registry.get_all()]


def _jobs(service: Service) -> list[JobReport]:
    return [JobReport(job.id, getattr(job, "next_run_time", None)) for job in service.scheduler.get_jobs()]
