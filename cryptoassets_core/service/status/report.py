"""What the daemon tells of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, type_coerce
from sqlalchemy.exc import DBAPIError

from cryptoassets_core import __version__
from cryptoassets_core.backend.chainrefusals import refused_deposits
from cryptoassets_core.backend.chainwrites import read_sync_state
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.database import cause
from cryptoassets_core.ledger.states import TransactionState
from cryptoassets_core.models.types import Amount

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from cryptoassets_core.service.main import Service


@dataclass(frozen=True, slots=True)
class CoinReport:
    """One coin at a glance."""

    name: str
    title: str
    network: str
    backend: str
    #: What is wrong, None if nothing is.
    problem: str | None
    last_success_at: datetime | None
    last_wallet_notify: datetime | None
    #: The block up to which the chain was followed. None here and below while the database cannot be asked.
    tip: str | None = None
    #: What all accounts have together, whole coins.
    balance: Decimal | None = None
    #: Withdrawals that wait for the broadcast.
    queued: int | None = None
    #: Deposits that wait for confirmations.
    incoming: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The daemon at a glance."""

    version: str
    healthy: bool
    #: What is wrong beside the coins, a sentence each.
    problems: list[str]
    components: dict[str, bool]
    coins: list[CoinReport]

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


def make_report(service: Service) -> Report:
    """Look at everything the daemon runs."""
    components, problems = service.components(), service.problems()
    coins = [_coin_report(coin, service) for _, coin in service.app.coins.all()]
    try:
        with service.app.open_readonly_session(wait=False) as session:
            coins = [
                replace(report, **_in_books(session, coin))
                for report, (_, coin) in zip(coins, service.app.coins.all(), strict=True)
            ]
            for name, coin in service.app.coins.all():
                problems += [f"{name}: {refused}" for refused in refused_deposits(session, coin)]
    except DBAPIError as error:
        problems.append(f"the database cannot be asked: {cause(error)}")
    healthy = all(components.values()) and not problems and not any(coin.problem for coin in coins)
    return Report(__version__, healthy, problems, components, coins)


def _coin_report(coin: Coin, service: Service) -> CoinReport:
    worker = service.workers.get(coin.name)
    return CoinReport(
        name=coin.name,
        title=coin.description.title,
        network=coin.network,
        backend=type(coin.backend).__name__ if coin.backend else "none",
        problem=worker.health.problem if worker else None,
        last_success_at=worker.health.last_success_at if worker else None,
        last_wallet_notify=worker.updater.last_wallet_notify if worker else None,
    )


def _in_books(session: Session, coin: Coin) -> dict[str, Any]:
    account, transaction = coin.account_model, coin.transaction_model
    balance = session.scalar(select(type_coerce(func.sum(account.balance), Amount(coin.description.decimals))))
    queued = session.scalar(
        select(func.count()).where(
            transaction.state == TransactionState.PENDING, transaction.network_transaction_id.is_(None)
        )
    )
    incoming = session.scalar(select(func.count()).where(transaction.is_uncredited_deposit()))
    return {
        "tip": read_sync_state(session, coin.wallet_model.books()).tip,
        "balance": balance or Decimal(0),
        "queued": queued or 0,
        "incoming": incoming or 0,
    }
