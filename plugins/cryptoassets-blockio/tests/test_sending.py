"""Withdrawals: prepared by the service, signed here, and published once whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_blockio import client as client_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.payload import load_payload
from cryptoassets_blockio.testing import Account, Fault, StandIn, fund, spend_elsewhere
from cryptoassets_blockio.transactions import parse
from cryptoassets_core.backend.base import PreparedTransaction
from cryptoassets_core.coin.validate import decode_segwit
from cryptoassets_core.errors import (
    BackendError,
    BackendUnavailableError,
    BroadcastDeadError,
    OutcomeUnknownError,
)
from cryptoassets_doge.coin import DOGECOIN

Make = Callable[..., BlockIoBackend]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(client_module, "SLOW_SECONDS", 0.5)


def paid(account: Account, address: str) -> list[Decimal]:
    """Return what the network carries to an address."""
    return [
        Decimal(account.shown(output.amount_minor))
        for entry in account.chain.entries.values()
        for payee, output in zip(entry.payees, entry.transaction.outputs, strict=True)
        if payee == address and not entry.conflicted
    ]


@pytest.mark.parametrize("kind", ["P2SH", "WITNESS_V0", "default"])
def test_withdrawal_reaches_the_network_with_the_txid_that_was_foreseen(
    account: Account, make_backend: Make, kind: str
) -> None:
    if kind == "WITNESS_V0" and account.coin.symbol == "doge":
        pytest.skip("Dogecoin has no segwit")
    backend = make_backend(account, **({} if kind == "default" else {"address_type": kind}))
    for name in ("alice", "bob"):
        account.pay([(backend.create_address(name), Decimal(60))])
    account.mine()
    payees = {account.outside_address(1): Decimal("70.00000001"), account.outside_address(2): Decimal("1.5")}
    prepared = backend.prepare(payees)
    assert (prepared.txid is None) == (account.coin.symbol == "doge")
    assert len(prepared.inputs) == 2
    backend.hold(prepared)
    txid = backend.submit(prepared)
    assert prepared.txid in (None, txid)
    assert {payee: paid(account, payee) for payee in payees} == {payee: [amount] for payee, amount in payees.items()}
    before = account.balances()
    assert backend.submit(prepared) == txid
    assert account.balances() == before
    assert account.chain.entries[txid].transaction.outpoints == prepared.inputs
    total = sum(payees.values()) + prepared.fee
    assert backend.get_backend_balance() == 120 - total


def test_hundred_withdrawals_are_one_prepared_transaction(btc: Account, service: StandIn, make_backend: Make) -> None:
    backend = make_backend(btc)
    fund(btc, Decimal(10))
    backend.check()
    backend.prepare({btc.outside_address(1): Decimal(1)})
    before = service.calls.copy()
    payees = {btc.outside_address(number): Decimal("0.01") for number in range(100)}
    backend.submit(backend.prepare(payees))
    assert service.calls - before == {"prepare_transaction": 1, "submit_transaction": 1}
    assert all(paid(btc, payee) == [amount] for payee, amount in payees.items())


# --- Lost answers and rivals --------------------------------------------------------------------------------

LOST = [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.STALL_BEFORE, Fault.STALL_AFTER, Fault.HTML, Fault.STATUS_ERROR]


@pytest.mark.parametrize(
    ("fault", "repeat"),
    [*((fault, "same") for fault in LOST), (Fault.DROP_AFTER, "refuse"), (Fault.DROP_AFTER, "resigned")],
)
def test_lost_answer_pays_once_and_the_txid_is_found(
    service: StandIn, make_backend: Make, coin: Any, fault: Fault, repeat: str
) -> None:
    """F05: the payload is submitted again, and what the service says to that is not believed."""
    account = service.open_account(coin)
    account.behaviour.repeat = repeat
    backend = make_backend(account, address_type="P2SH")
    for number in range(2):
        account.pay([(backend.create_address(str(number)), Decimal(60))])
    account.mine()
    payee = account.outside_address(1)
    earlier = backend.submit(backend.prepare({account.outside_address(2): Decimal(1)}))
    prepared = backend.prepare({payee: Decimal(50)})
    service.faults.arm("submit_transaction", fault)
    with pytest.raises(OutcomeUnknownError):
        make_backend(account, timeout=0.5).submit(prepared)
    restarted = make_backend(account)
    txid = restarted.submit(prepared)
    (entry,) = [each for each in account.chain.entries.values() if payee in each.payees]
    assert txid == entry.txid != earlier
    assert paid(account, payee) == [50]


def _stored(account: Account, backend: BlockIoBackend) -> PreparedTransaction:
    account.pay([(backend.create_address("alice"), Decimal(60))])
    account.mine()
    return backend.prepare({account.outside_address(1): Decimal(50)})


def test_rival_in_the_chain_is_proof_of_death_and_says_how_deep(account: Account, make_backend: Make) -> None:
    backend = make_backend(account)
    prepared = _stored(account, backend)
    spend_elsewhere(account, prepared.inputs, account.outside_address(9))
    with pytest.raises(OutcomeUnknownError, match="not accepted now"):
        backend.submit(prepared)
    for depth in (1, 2):
        account.mine()
        with pytest.raises(BroadcastDeadError, match="cannot confirm") as caught:
            backend.submit(prepared)
        assert caught.value.depth == depth


def test_refusal_alone_is_no_proof_of_death(account: Account, make_backend: Make) -> None:
    backend = make_backend(account)
    prepared = _stored(account, backend)
    account.prepared.clear()
    account.mine(20)
    with pytest.raises(OutcomeUnknownError, match="not prepared by this account"):
        backend.submit(prepared)


def test_coins_of_a_stored_transaction_are_not_used_again(btc: Account, make_backend: Make) -> None:
    backend = make_backend(btc)
    prepared = _stored(btc, backend)
    backend.hold(prepared)
    with pytest.raises(BackendUnavailableError, match="an earlier broadcast"):
        backend.prepare({btc.outside_address(2): Decimal(1)})
    backend.release(prepared)
    assert backend.prepare({btc.outside_address(2): Decimal(1)}).inputs == prepared.inputs


def test_stored_payload_has_no_secret(account: Account, make_backend: Make) -> None:
    """F36: it is in the database, and people look at it."""
    backend = make_backend(account)
    prepared = _stored(account, backend)
    text = bytes.fromhex(prepared.raw).decode()
    for secret in (account.api_key, account.pin, account.user.secret.hex(), account.encrypted_passphrase):
        assert secret not in text
    assert load_payload(prepared.raw).sent == 50


@pytest.mark.parametrize("raw", ["00", "zz", "7b7d", b'{"format": 2}'.hex(), b"[]".hex(), "01000000000000"])
def test_payload_of_somebody_else_is_refused(btc: Account, make_backend: Make, raw: str) -> None:
    backend = make_backend(btc)
    prepared = _stored(btc, backend)
    with pytest.raises(BackendError, match="not made by this version"):
        backend.submit(PreparedTransaction(txid=None, raw=raw, fee=Decimal(0), inputs=prepared.inputs))


def test_segwit_addresses_are_the_default_where_there_are_any(account: Account, make_backend: Make) -> None:
    backend = make_backend(account)
    address = backend.create_address("alice")
    hrp = account.rules.bech32_hrp
    if account.coin.symbol == "doge":
        assert account.addresses[address].kind == "P2SH"
    else:
        assert len(decode_segwit(hrp or "", address).program) == 32


def test_payload_of_another_network_is_refused(btc: Account, service: StandIn, make_backend: Make) -> None:
    prepared = _stored(btc, make_backend(btc))
    other = make_backend(service.open_account(btc.coin, "main"))
    with pytest.raises(BackendError, match="is for BTCTEST, and this backend for BTC"):
        other.submit(prepared)
    assert service.calls["submit_transaction"] == 0


def test_foreseen_txid_is_looked_up_where_the_listing_is_late(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make_backend(btc)
    prepared = _stored(btc, backend)
    txid = backend.submit(prepared)
    btc.behaviour.repeat = "refuse"
    call = backend.client.call

    def late(method: str, **parameters: object) -> Any:
        return {"txs": []} if method == "get_transactions" else call(method, **parameters)

    monkeypatch.setattr(backend.client, "call", late)
    assert backend.submit(prepared) == txid == prepared.txid


@pytest.mark.parametrize("lie", ["another txid", "bytes of another one"])
def test_service_that_shows_another_transaction_is_not_believed(
    service: StandIn, make_backend: Make, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """A rival is proof only if its bytes are what its txid says."""
    account = service.open_account(DOGECOIN)
    backend = make_backend(account)
    prepared = _stored(account, backend)
    rival = spend_elsewhere(account, prepared.inputs, account.outside_address(9))
    account.mine()
    call = backend.client.call

    def lying(method: str, **parameters: object) -> Any:
        data: Any = call(method, **parameters)
        if method == "get_raw_transaction" and parameters["txid"] == rival:
            data = {**data, **({"txid": "ab" * 32} if lie == "another txid" else {"tx_hex": forged(data["tx_hex"])})}
        return data

    monkeypatch.setattr(backend.client, "call", lying)
    with pytest.raises(BackendError) as caught:
        backend.submit(prepared)
    assert not isinstance(caught.value, BroadcastDeadError)


def forged(raw: str) -> str:
    """Change what a transaction pays, and so its txid."""
    parsed = parse(raw)
    outputs = (replace(parsed.outputs[0], amount_minor=1), *parsed.outputs[1:])
    return replace(parsed, outputs=outputs).serialise().hex()
