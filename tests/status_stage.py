"""A daemon that is not started, over books of a test's own, and a way to look at its pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from kit import address, seen
from sqlalchemy.orm import Session

from cryptoassets_core.app import Subsystem
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.event import outbox
from cryptoassets_core.service.main import Service

#: F10 of the checklist: what people may call things to hurt those who look at them.
HOSTILE = (
    "<script>alert('coins')</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{ 7 * 7 }} {% include '/etc/passwd' %} ${7*7}",
    "\u202egnp.exe",
    "</bdi></td><svg onload=alert(1)>",
    "x" * 255,
)

#: Transactions of books that are long.
MOVEMENTS = 100_000

#: Every list, by its path.
LISTS = ("wallets", "accounts", "addresses", "transactions", "network_transactions", "broadcasts", "events")

#: Paths of pages that are there in empty books too.
PAGES = ("/", "/activity", *(f"/{name}" for name in LISTS))


@contextmanager
def opened_service(url: str, directory: Path, *, plugins: Sequence[object] = (), **status: Any) -> Iterator[Service]:
    """Lend a daemon that is not started; its backend holds nothing."""
    config = {
        "database": {"url": url},
        "coins": {"btc": {"network": "regtest", "backend": {"name": "simnet", "path": str(directory / "chain")}}},
        "events": {"shop": {"name": "http", "url": "http://127.0.0.1:9/events"}},
        "status_server": {"port": 0, **status},
    }
    service = Service(config, tuple(Subsystem), logging=False)
    try:
        if plugins:
            service.app._own_plugins = tuple(plugins)
            service.app.load_plugins()
        yield service
    finally:
        service.app.close()


def fill_shop(service: Service) -> dict[str, int]:
    """Make one of everything, with hostile names: a wallet, accounts, a deposit, a transfer, withdrawals, events.

    :returns: ids by name.
    """
    coin = service.app.coins.get("btc")

    def make(session: Session) -> dict[str, int]:
        wallet = coin.wallet_model.get_or_create_by_name(HOSTILE[0], session)
        accounts = [wallet.get_or_create_account_by_name(name) for name in HOSTILE]
        first, second = accounts[0], accounts[1]
        wallet.add_address(first, HOSTILE[1], address("ours"))
        wallet.import_balance(first, Decimal(10), HOSTILE[3])
        transfers = [wallet.send_internal(first, each, Decimal("0.5"), each.name) for each in accounts[1:]]
        withdrawal = wallet.send_external(second, address("payee"), Decimal("0.1"), HOSTILE[5])
        cancelled = wallet.send_external(second, address("payee"), Decimal("0.2"), None)
        wallet.cancel_withdrawal(cancelled, HOSTILE[0])
        session.flush()
        apply_transactions(session, coin, [seen("deposit", {address("ours"): "1.5"}, 3)])
        outbox.fan_out(session, ["shop"])
        deposit = session.scalars(wallet.get_deposit_transactions().statement).one()
        return {
            "account": first.id,
            "transfer": transfers[0].id,
            "withdrawal": withdrawal.id,
            "cancelled": cancelled.id,
            "deposit": deposit.id,
            "network": deposit.network_transaction_id,
        }

    return service.app.conflict_resolver.run(make)


def story_pages(ids: dict[str, int]) -> list[str]:
    """Return the paths of pages about one thing each."""
    return [
        f"/accounts/btc/{ids['account']}",
        *(f"/transactions/btc/{ids[name]}" for name in ("transfer", "withdrawal", "cancelled", "deposit")),
        f"/network_transactions/btc/{ids['network']}",
        "/events/1",
    ]


def words(page: str) -> str:
    """Return what a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())
