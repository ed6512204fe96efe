"""What the service prepares is believed in nothing: checked, bounded, and only then signed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_blockio import client as client_module
from cryptoassets_blockio import preparation as preparation_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.testing import Account, StandIn, fund
from cryptoassets_blockio.testing.keys import Key
from cryptoassets_core.coin.validate import encode_base58check
from cryptoassets_core.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    InsufficientHotWalletFunds,
    OutcomeUnknownError,
    RecipientRejectedError,
)

Make = Callable[..., BlockIoBackend]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_PAUSES", (0.0, 0.0))


# --- What the service prepares ------------------------------------------------------------------------------


def _first(rows: list[dict[str, Any]], category: str) -> dict[str, Any]:
    return next(row for row in rows if row.get("output_category") == category)


THIEF = encode_base58check(0x6F, bytes(20))
ELSEWHERE = encode_base58check(0xC4, bytes(20))


def _take_from(data: dict[str, Any], category: str, amount: str, **output: object) -> None:
    row = _first(data["outputs"], category)
    row["output_value"] = f"{Decimal(row['output_value']) - Decimal(amount):.8f}"
    made = {"output_index": len(data["outputs"]), "output_value": amount, **output}
    data["outputs"].append(made)


TAMPERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "another network": lambda data: data.update(network="LTCTEST"),
    "another recipient": lambda data: _first(data["outputs"], "user-specified").update(receiving_address=THIEF),
    "another amount": lambda data: _first(data["outputs"], "user-specified").update(output_value="1.00000001"),
    "a recipient less": lambda data: data["outputs"].pop(0),
    "a payment more": lambda data: _take_from(
        data, "change", "0.5", output_category="user-specified", receiving_address=THIEF
    ),
    "a payment twice": lambda data: _take_from(
        data, "change", "1.0", output_category="user-specified",
        receiving_address=_first(data["outputs"], "user-specified")["receiving_address"],
    ),
    "change elsewhere": lambda data: _first(data["outputs"], "change").update(receiving_address=ELSEWHERE),
    "change twice": lambda data: _take_from(data, "change", "0.5", output_category="change", receiving_address=THIEF),
    "an output of a new kind": lambda data: _take_from(
        data, "change", "0.5", output_category="gift", receiving_address=THIEF
    ),
    "a fee of its own": lambda data: _take_from(
        data, "change", "0.5", output_category="blockio-fee", receiving_address=THIEF
    ),
    "a huge fee": lambda data: _first(data["outputs"], "change").update(output_value="0.50000000"),
    "no change": lambda data: data["outputs"].pop(),
    "more than there is": lambda data: data["inputs"][0].update(input_value="0.50000000"),
    "the same coins twice": lambda data: data["inputs"].append({**data["inputs"][0], "input_index": 1}),
    "inputs out of order": lambda data: data["inputs"][0].update(input_index=1),
    "outputs out of order": lambda data: data["outputs"].reverse(),
    "no inputs": lambda data: data.update(inputs=[]),
    "no keys of an address": lambda data: data.update(input_address_data=[]),
    "keys of another address": lambda data: data["input_address_data"][0].update(
        public_keys=[Key.named("thief").public.hex(), data["user_key"]["public_key"]]
    ),
    "not our key": lambda data: data["input_address_data"][0].update(
        public_keys=[Key.named("thief").public.hex(), Key.named("other").public.hex()]
    ),
    "one signature of two": lambda data: data["input_address_data"][0].update(required_signatures=1),
    "impossible keys": lambda data: data["input_address_data"][0].update(required_signatures=200),
    "an address of another kind": lambda data: data["input_address_data"][0].update(address_type="P2PKH"),
    "another user's key": lambda data: data["user_key"].update(public_key=Key.named("thief").public.hex()),
    "no user's key": lambda data: data.pop("user_key"),
    "another unsigned txid": lambda data: data.update(expected_unsigned_txid="ab" * 32),
    "amounts as numbers": lambda data: data["outputs"][0].update(output_value=1.0),
    "an address of another network": lambda data: data["outputs"][0].update(
        receiving_address="bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_not_asked_for_is_never_signed(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    signed: list[object] = []
    backend = make_backend(btc)
    fund(btc, Decimal(3))
    btc.behaviour.tamper = TAMPERED[name]
    client_fails = {"another unsigned txid", "another user's key"}
    if name not in client_fails:
        monkeypatch.setattr("cryptoassets_blockio.preparation.sign", lambda *given: signed.append(given))
    with pytest.raises(BackendError) as caught:
        backend.prepare({btc.outside_address(1): Decimal(1)})
    assert not isinstance(caught.value, RecipientRejectedError | OutcomeUnknownError)
    assert signed == []
    assert btc.submitted == {}
    btc.behaviour.tamper = None
    monkeypatch.undo()
    assert backend.submit(backend.prepare({btc.outside_address(1): Decimal(1)}))


def test_customer_whose_coins_would_pay_him_is_refunded(btc: Account, make_backend: Make) -> None:
    """The listing shows such a payment like change, so nobody would credit it."""
    backend = make_backend(btc)
    alice = backend.create_address("alice")
    btc.pay([(alice, Decimal(5))])
    btc.mine()
    with pytest.raises(RecipientRejectedError, match="cannot be told from change") as caught:
        backend.prepare({btc.outside_address(1): Decimal(1), alice: Decimal(1)})
    assert caught.value.address == alice


def test_change_to_another_customer_is_refused(btc: Account, make_backend: Make) -> None:
    """It would be listed as a deposit of that customer's."""
    backend = make_backend(btc)
    fund(btc, Decimal(3))
    btc.behaviour.change_to = backend.create_address("bob")
    with pytest.raises(BackendRejectedError, match="its change goes to"):
        backend.prepare({btc.outside_address(1): Decimal(1)})


def test_change_to_the_default_address_is_change(btc: Account, make_backend: Make) -> None:
    backend = make_backend(btc)
    btc.pay([(backend.create_address("alice"), Decimal(5))])
    btc.mine()
    btc.behaviour.change_to = btc.labels["default"]
    prepared = backend.prepare({btc.outside_address(1): Decimal(1)})
    txid = backend.submit(prepared)
    for asked in (backend, make_backend(btc)):
        seen = {each.txid: each for each in asked.list_since(None, depth=3).transactions}[txid]
        assert (seen.received, seen.sent, seen.fee) == ((), 1, prepared.fee)


# --- Fees ---------------------------------------------------------------------------------------------------


def test_fee_above_the_limit_waits(btc: Account, make_backend: Make) -> None:
    fund(btc, Decimal(3))
    with pytest.raises(BackendUnavailableError, match="above max_fee_rate"):
        make_backend(btc, max_fee_rate="0.00001").prepare({btc.outside_address(1): Decimal(1)})
    btc.behaviour.fee_rate = Decimal("0.05")
    with pytest.raises(BackendUnavailableError, match="above max_fee_rate"):
        make_backend(btc).prepare({btc.outside_address(1): Decimal(1)})


def test_service_fee_is_part_of_the_fee_and_limited(btc: Account, make_backend: Make) -> None:
    fund(btc, Decimal(3))
    btc.behaviour.service_fee = Decimal("0.01")
    backend = make_backend(btc)
    prepared = backend.prepare({btc.outside_address(1): Decimal(1)})
    assert Decimal("0.01") < prepared.fee < Decimal("0.0102")
    with pytest.raises(BackendUnavailableError, match="above max_service_fee 1 %"):
        backend.prepare({btc.outside_address(1): Decimal("0.99")})


# --- Refusals -----------------------------------------------------------------------------------------------


def test_too_little_in_the_wallet_is_named(account: Account, make_backend: Make) -> None:
    backend = make_backend(account)
    account.pay([(backend.create_address("alice"), Decimal(10))])
    with pytest.raises(InsufficientHotWalletFunds, match="cannot pay 1"):
        backend.prepare({account.outside_address(1): Decimal(1)})


def test_dust_is_refused_before_anybody_is_asked(account: Account, service: StandIn, make_backend: Make) -> None:
    backend = make_backend(account)
    fund(account, Decimal(10))
    before = service.calls.total()
    dust = account.coin.dust - account.coin.minor_unit
    with pytest.raises(RecipientRejectedError, match="dust") as caught:
        backend.prepare({account.outside_address(1): Decimal(1), account.outside_address(2): dust})
    assert caught.value.address == account.outside_address(2)
    assert service.calls.total() - before <= 1


@pytest.mark.parametrize("place", range(7))
def test_one_payment_the_service_refuses_is_found_among_others(btc: Account, make_backend: Make, place: int) -> None:
    backend = make_backend(btc)
    fund(btc, Decimal(10))
    btc.behaviour.smallest_output = Decimal("0.5")
    payees = {btc.outside_address(number): Decimal("0.6") for number in range(7)}
    small = btc.outside_address(place)
    with pytest.raises(RecipientRejectedError, match="below the smallest output") as caught:
        backend.prepare({**payees, small: Decimal("0.4")})
    assert caught.value.address == small


def test_refusal_that_is_nobodys_fault_waits(btc: Account, make_backend: Make) -> None:
    backend = make_backend(btc)
    fund(btc, Decimal(10))
    btc.behaviour.smallest_output = Decimal(5)
    with pytest.raises(BackendRejectedError) as caught:
        backend.prepare({btc.outside_address(number): Decimal("0.4") for number in range(4)})
    assert not isinstance(caught.value, RecipientRejectedError)


def test_without_pin_or_with_a_wrong_one_nothing_is_sent(btc: Account, make_backend: Make) -> None:
    fund(btc, Decimal(10))
    with pytest.raises(BackendRejectedError, match="without the option pin"):
        make_backend(btc, pin=None).prepare({btc.outside_address(1): Decimal(1)})
    with pytest.raises(BackendAuthenticationError, match="correct the option pin"):
        make_backend(btc, pin="wrong").prepare({btc.outside_address(1): Decimal(1)})


# --- What the client signs ----------------------------------------------------------------------------------

#: What a client that errs, or was replaced, does to what it signed.
WRONGLY_SIGNED: dict[str, Callable[[dict[str, Any]], object]] = {
    "another transaction": lambda signed: signed.update(tx_hex=signed["tx_hex"].replace("ffffffff", "feffffff")),
    "no signature": lambda signed: signed["signatures"].clear(),
    "a signature less": lambda signed: signed["signatures"].pop(),
    "with another key": lambda signed: signed["signatures"][0].update(public_key=Key.named("thief").public.hex()),
    "another input twice": lambda signed: signed["signatures"][1].update(input_index=0),
    "no transaction": lambda signed: signed.update(tx_hex=None),
}


@pytest.mark.parametrize("name", WRONGLY_SIGNED)
def test_what_the_client_signed_is_compared_with_what_was_checked(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    backend = make_backend(btc)
    fund(btc, Decimal(3), coins=2)
    sign = preparation_module.sign

    def wrongly(data: Any, pin: str) -> dict[str, Any]:
        signed = sign(data, pin)
        WRONGLY_SIGNED[name](signed)
        return signed

    monkeypatch.setattr(preparation_module, "sign", wrongly)
    with pytest.raises(BackendError, match=r"nothing was sent|makes no sense"):
        backend.prepare({btc.outside_address(1): Decimal(5)})
