"""Wallets of tests: idle addresses are archived, little coins move to one place, and nothing real is touched."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from cryptoassets_blockio import cleaning as cleaning_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.cleaning import Cleaned, clean_blockio_test_wallet
from cryptoassets_blockio.testing import Account, StandIn
from cryptoassets_core.errors import BackendRejectedError, ConfigurationError

Make = Callable[..., BlockIoBackend]


def active(account: Account) -> set[str]:
    return {own.label.partition("-")[0] for own in account.addresses.values() if not own.archived}


def wallet(account: Account, backend: BlockIoBackend) -> None:
    """Make addresses that hold much, little, nothing, and what is coming in."""
    held = {"much": Decimal(5), "little": Decimal("0.5"), "less": Decimal("0.25"), "empty": None}
    for name, amount in held.items():
        address = backend.create_address(name)
        if amount is not None:
            account.pay([(address, amount)])
    account.mine()
    account.pay([(backend.create_address("incoming"), Decimal(1))])


def test_idle_addresses_are_archived_and_little_coins_moved_together(
    account: Account, service: StandIn, make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning_module, "_AT_ONCE", 2)
    account.behaviour.page_size = 2
    account.behaviour.smallest_output = account.coin.dust
    account.behaviour.fee_rate = account.coin.dust * 2
    backend = make_backend(account, max_fee_rate=account.coin.dust * 100)
    wallet(account, backend)
    before = backend.get_backend_balance()

    cleaned = clean_blockio_test_wallet(backend)

    assert cleaned.archived == 3
    assert active(account) == {"default", "much", "incoming"}
    assert service.calls["archive_addresses"] == 2
    assert cleaned.txid is not None
    fee = before - backend.get_backend_balance()
    assert 0 < fee == Decimal("0.75") - cleaned.moved
    assert clean_blockio_test_wallet(backend) == Cleaned(archived=0, moved=Decimal(0), txid=None)


@pytest.mark.parametrize("reason", ["no PIN", "a fee above all of it"])
def test_what_cannot_be_moved_stays_active(btc: Account, make_backend: Make, reason: str) -> None:
    backend = make_backend(btc, pin=None) if reason == "no PIN" else make_backend(btc)
    wallet(btc, backend)
    if reason != "no PIN":
        btc.behaviour.fee_rate = Decimal(2)
    assert clean_blockio_test_wallet(backend) == Cleaned(archived=1, moved=Decimal(0), txid=None)
    assert active(btc) == {"default", "much", "little", "less", "incoming"}


def test_real_coins_are_not_touched(btc: Account, service: StandIn, make_backend: Make) -> None:
    real = service.open_account(btc.coin, "main")
    backend = make_backend(real)
    backend.create_address("alice")
    before = service.calls.total()
    with pytest.raises(ConfigurationError, match="holds real coins"):
        clean_blockio_test_wallet(backend)
    assert service.calls.total() == before


def test_page_that_comes_again_ends_it(btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = make_backend(btc)
    backend.create_address("alice")
    call = backend.client.call

    def stuck(method: str, **parameters: object) -> object:
        data = call(method, **{**parameters, **({"page": 1} if method == "get_my_addresses" else {})})
        return {**data, "has_more": True} if method == "get_my_addresses" else data

    monkeypatch.setattr(backend.client, "call", stuck)
    assert clean_blockio_test_wallet(backend).archived == 1


def test_coins_of_other_addresses_are_not_moved(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make_backend(btc)
    wallet(btc, backend)
    call = backend.client.call
    monkeypatch.setattr(
        backend.client, "call", lambda method, from_addresses=None, **parameters: call(method, **parameters)
    )
    with pytest.raises(BackendRejectedError, match="coins of other addresses"):
        clean_blockio_test_wallet(backend)
    assert btc.submitted == {}
