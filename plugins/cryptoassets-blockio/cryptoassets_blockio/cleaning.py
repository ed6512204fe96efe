"""Cleaning up after tests on the real service, which lets an account have so many active addresses only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cryptoassets_blockio import answers
from cryptoassets_blockio.backend import DEFAULT_LABEL, BlockIoBackend
from cryptoassets_blockio.client import ServiceRefusal
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.utils.iterutil import grouper

#: Addresses that are archived by one call; more than 256 were refused in 2015.
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of a wallet of tests."""

    #: How many addresses were archived.
    archived: int
    #: Whole coins that were moved to the wallet's own address, by which transaction.
    moved: Decimal
    txid: Txid | None


@dataclass(frozen=True, slots=True)
class _Address:
    address: str
    available: Decimal
    pending: Decimal


def clean_blockio_test_wallet(backend: BlockIoBackend, balance_threshold: Decimal = Decimal(1)) -> Cleaned:
    """Archive the addresses of a wallet for tests that hold nothing, or next to nothing, which is moved away first.

    It goes to the address with the label ``default``, in one transaction. That one is never archived, nor is what has
    something coming in. Books that gave such addresses out still see what is paid to them, where the service lists
    that; what was moved they know nothing of.

    :param balance_threshold: whole coins of an address below which they are moved.
    :raises ConfigurationError: the wallet is no test wallet.
    :raises BackendError: the service cannot be asked, or refuses; to call again goes on from there.
    """
    if backend.network == "main":
        raise ConfigurationError("clean_blockio_test_wallet is for test networks; this wallet holds real coins")
    quiet = [each for each in _addresses(backend) if each.pending == 0]
    little = [each for each in quiet if 0 < each.available < balance_threshold]
    moved, txid = _move(backend, little) if little else (Decimal(0), None)
    idle = [each.address for each in quiet if each.available == 0]
    if txid is not None:
        idle += [each.address for each in little]
    for group in grouper(_AT_ONCE, idle):
        backend.client.call("archive_addresses", addresses=",".join(group))
    return Cleaned(archived=len(idle), moved=moved, txid=txid)


def _addresses(backend: BlockIoBackend) -> Iterator[_Address]:
    """List the addresses that are active, but for the wallet's own."""
    page, seen = 1, set[str]()
    while True:
        data = backend.client.call("get_my_addresses", page=page)
        rows = answers.mappings(data.get("addresses"), "addresses")
        fresh = [row for row in rows if answers.text(row.get("address"), "address") not in seen]
        for row in fresh:
            address = str(row["address"])
            seen.add(address)
            if row.get("label") != DEFAULT_LABEL:
                yield _Address(
                    address,
                    _amount(backend, row, "available_balance"),
                    _amount(backend, row, "pending_received_balance"),
                )
        # A page without anything new would be followed by others.
        if data.get("has_more") is not True or not fresh:
            return
        page += 1


def _amount(backend: BlockIoBackend, row: answers.Row, name: str) -> Decimal:
    return answers.amount(row.get(name), name, decimals=backend.coin.decimals)


def _move(backend: BlockIoBackend, little: list[_Address]) -> tuple[Decimal, Txid | None]:
    """Send what addresses hold to the wallet's own, as far as the fee leaves anything of it."""
    sources = frozenset(each.address for each in little)
    target = backend.own_address()
    amount = _most(backend, target, little)
    if backend.options.pin is None or amount < backend.coin.dust:
        return Decimal(0), None
    prepared = backend.preparation.prepare(
        {target: amount}, backend.options.pin.get_secret_value(), own=frozenset({target}), sources=sources
    )
    return amount, backend.submit(prepared)


def _most(backend: BlockIoBackend, target: str, little: list[_Address]) -> Decimal:
    """Return what addresses can send: asked for all they have, which leaves no fee, the service says how much it is."""
    total = sum((each.available for each in little), Decimal(0))
    try:
        backend.client.call(
            "prepare_transaction",
            to_addresses=target,
            amounts=f"{total:f}",
            from_addresses=",".join(each.address for each in little),
        )
    except ServiceRefusal as refusal:
        most = refusal.data.get("max_withdrawal_available")
        return Decimal(0) if most is None else answers.amount(most, "the most", decimals=backend.coin.decimals)
    return total
