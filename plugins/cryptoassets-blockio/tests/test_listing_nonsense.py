"""A listing that makes no sense, or breaks off, is refused as a whole: a shorter one would leave deposits out."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.testing import Account
from cryptoassets_core.errors import BackendError, BackendUnavailableError

Make = Callable[..., BlockIoBackend]
DEPTH = 6

Row = dict[str, Any]

NONSENSE: dict[str, Callable[[Row], object]] = {
    "no txid": lambda row: row.pop("txid"),
    "txid in capitals": lambda row: row.update(txid="AB" * 32),
    "confirmations in text": lambda row: row.update(confirmations="3"),
    "confirmations true": lambda row: row.update(confirmations=True),
    "confirmations with a fraction": lambda row: row.update(confirmations=1.5),
    "no amounts": lambda row: row.pop("amounts_received"),
    "amounts in a mapping": lambda row: row.update(amounts_received={}),
    "amount as a number": lambda row: row["amounts_received"][0].update(amount=1.5),
    "amount below nothing": lambda row: row["amounts_received"][0].update(amount="-1.00000000"),
    "amount of nine decimals": lambda row: row["amounts_received"][0].update(amount="0.000000001"),
    "amount with an exponent": lambda row: row["amounts_received"][0].update(amount="1e3"),
    "amount that is none": lambda row: row["amounts_received"][0].update(amount="NaN"),
    "senders in text": lambda row: row.update(senders="nobody"),
}

RAW_NONSENSE: dict[str, Callable[[Row], object]] = {
    "another transaction": lambda data: data.update(txid="ab" * 32),
    "no txid": lambda data: data.pop("txid"),
    "no outputs": lambda data: data.pop("outputs"),
    "outputs in text": lambda data: data.update(outputs="1"),
    "a value in a number": lambda data: data["outputs"][0].update(value=1.0),
    "a value below nothing": lambda data: data["outputs"][0].update(value="-1.00000000"),
    "confirmations in text": lambda data: data.update(confirmations="3"),
    "inputs in a mapping": lambda data: data.update(inputs={}),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_listing_that_makes_no_sense_is_refused_as_a_whole(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """F35: nothing is rounded, nothing is guessed."""
    backend = make_backend(btc)
    btc.pay([(backend.create_address("alice"), Decimal(1))])
    call = backend.client.call

    def spoiled(method: str, **parameters: object) -> Any:
        data: Any = call(method, **parameters)
        if method == "get_transactions" and data["txs"]:
            NONSENSE[name](data["txs"][0])
        return data

    monkeypatch.setattr(backend.client, "call", spoiled)
    for question in (backend.get_tip, lambda: backend.list_since(None, depth=DEPTH)):
        with pytest.raises(BackendError, match="makes no sense"):
            question()


@pytest.mark.parametrize("name", RAW_NONSENSE)
def test_transaction_that_makes_no_sense_is_refused_as_a_whole(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    backend = make_backend(btc)
    foreign = btc.pay([(btc.outside_address(1), Decimal(1))])
    call = backend.client.call

    def spoiled(method: str, **parameters: object) -> Any:
        data: Any = call(method, **parameters)
        if method == "get_raw_transaction":
            RAW_NONSENSE[name](data)
        return data

    assert backend.get_transactions([foreign]).keys() == {foreign}
    monkeypatch.setattr(backend.client, "call", spoiled)
    with pytest.raises(BackendError, match=r"makes no sense|another transaction"):
        backend.get_transactions([foreign])


def test_outputs_to_what_is_no_address_are_passed_over(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make_backend(btc)
    address = backend.create_address("alice")
    btc.pay([(address, Decimal(1))])
    call = backend.client.call

    def spoiled(method: str, **parameters: object) -> Any:
        data: Any = call(method, **parameters)
        for row in data.get("txs", []):
            for recipient in (None, "", "no address", 7, "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9"):
                row["amounts_received"].append({"recipient": recipient, "amount": "9.00000000"})
        return data

    monkeypatch.setattr(backend.client, "call", spoiled)
    (seen,) = backend.list_since(None, depth=DEPTH).transactions
    assert [(output.address, output.amount) for output in seen.received] == [(address, 1)]


def test_interrupted_listing_is_an_error_and_no_shorter_listing(btc: Account, make_backend: Make) -> None:
    btc.behaviour.page_size = 2
    backend = make_backend(btc)
    address = backend.create_address("alice")
    for _ in range(5):
        btc.pay([(address, Decimal(1))])
    answered: list[None] = []
    call = backend.client.call

    def breaking(method: str, **parameters: object) -> Any:
        answered.append(None)
        if len(answered) == 2:
            raise BackendUnavailableError("the second page does not come")
        return call(method, **parameters)

    backend.client.call = breaking  # type: ignore[method-assign]
    with pytest.raises(BackendUnavailableError):
        backend.list_since(None, depth=DEPTH)
