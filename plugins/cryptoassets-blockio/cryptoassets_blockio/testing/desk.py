"""Where the stand-in makes withdrawals: it chooses coins, waits for the user's signatures, and adds its own."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from cryptoassets_blockio.scripts import script_of
from cryptoassets_blockio.testing.account import Account, OwnAddress, Refusal
from cryptoassets_blockio.testing.chain import Entry
from cryptoassets_blockio.testing.keys import verify
from cryptoassets_blockio.testing.signing import Spent, complete, digest
from cryptoassets_blockio.transactions import Input, Output, Transaction, parse
from cryptoassets_core.backend.base import Outpoint, Txid
from cryptoassets_core.errors import BadAddress

_INPUT_BYTES, _OUTPUT_BYTES = 300, 43


def prepare(account: Account, payments: list[tuple[str, Decimal]], sources: list[str] | None = None) -> dict[str, Any]:
    """Choose coins for payments, of some addresses or of all, and describe the transaction; nothing is reserved."""
    total = sum(account.minor(amount) for _, amount in payments)
    smallest = account.minor(account.behaviour.smallest_output)
    for address, amount in payments:
        try:
            script_of(address, account.rules)
        except BadAddress:
            raise Refusal(f"One or more destination addresses are invalid for Network={account.name}.") from None
        if account.minor(amount) < smallest:
            raise Refusal("One of the amounts is below the smallest output.")
    service_fee = account.minor(account.behaviour.service_fee)
    chosen, fee = _choose(account, total + service_fee, len(payments) + 2, sources)
    outputs = [(address, account.minor(amount), "user-specified") for address, amount in payments]
    if service_fee:
        outputs.append((account.outside_address(1_000_001), service_fee, "blockio-fee"))
    change = sum(amount_minor for _, amount_minor, _ in chosen) - total - service_fee - fee
    if change >= smallest:
        outputs.append((account.behaviour.change_to or chosen[0][2].address, change, "change"))
    described = _describe(account, chosen, outputs)
    if account.behaviour.tamper is not None:
        account.behaviour.tamper(described)
    return described


def _choose(
    account: Account, wanted: int, outputs: int, sources: list[str] | None
) -> tuple[list[tuple[Outpoint, int, OwnAddress]], int]:
    usable = sorted(
        (
            (out, amount, own)
            for out, amount, own, entry in account.coins()
            if account.is_available(entry) and (sources is None or own.address in sources)
        ),
        key=lambda coin: (-coin[1], coin[0].txid, coin[0].vout),
    )
    chosen: list[tuple[Outpoint, int, OwnAddress]] = []
    held = fee = 0
    for coin in usable:
        chosen.append(coin)
        held += coin[1]
        size = 10 + _INPUT_BYTES * len(chosen) + _OUTPUT_BYTES * outputs
        fee = account.minor(account.behaviour.fee_rate) * size // 1000
        if held >= wanted + fee:
            return chosen, fee
    most = max(held - fee, 0)
    raise Refusal(
        f"Cannot withdraw funds without Network Fee of {account.shown(fee)} {account.name}. Maximum withdrawable "
        f"balance is {account.shown(most)} {account.name}.",
        available_balance=account.shown(held),
        max_withdrawal_available=account.shown(most),
        minimum_balance_needed=account.shown(wanted + fee),
        estimated_network_fee=account.shown(fee),
    )


def _describe(
    account: Account, chosen: list[tuple[Outpoint, int, OwnAddress]], outputs: list[tuple[str, int, str]]
) -> dict[str, Any]:
    unsigned = Transaction(
        tuple(Input(outpoint) for outpoint, _, _ in chosen),
        tuple(Output(amount_minor, script_of(address, account.rules)) for address, amount_minor, _ in outputs),
    )
    described = {
        "network": account.name,
        "tx_type": "basic",
        "inputs": [
            {
                "input_index": number,
                "previous_txid": outpoint.txid,
                "previous_output_index": outpoint.vout,
                "input_value": account.shown(amount_minor),
                "spending_address": own.address,
            }
            for number, (outpoint, amount_minor, own) in enumerate(chosen)
        ],
        "outputs": [
            {
                "output_index": number,
                "output_category": category,
                "output_value": account.shown(amount_minor),
                "receiving_address": address,
            }
            for number, (address, amount_minor, category) in enumerate(outputs)
        ],
        "input_address_data": [
            {
                "address": own.address,
                "address_type": own.kind,
                "required_signatures": 2,
                "public_keys": [own.key.public.hex(), account.user.public.hex()],
            }
            for own in {own.address: own for _, _, own in chosen}.values()
        ],
        "user_key": {
            "public_key": account.user.public.hex(),
            "encrypted_passphrase": account.encrypted_passphrase,
        },
        "estimated_tx_size": len(unsigned.serialise()) + 220 * len(chosen),
        "expected_unsigned_txid": unsigned.txid,
    }
    account.prepared[unsigned.txid] = {"payees": tuple(address for address, _, _ in outputs)}
    return described


def submit(account: Account, data: dict[str, Any]) -> Txid:
    """Verify every signature, add the service's own, and publish."""
    try:
        unsigned = parse(data["tx_hex"])
        signatures = {(each["input_index"], each["public_key"]): each["signature"] for each in data["signatures"]}
    except (KeyError, TypeError, ValueError):
        raise Refusal("Invalid transaction data.") from None
    if unsigned.txid in account.submitted:
        return _repeat(account, unsigned)
    prepared = account.prepared.get(unsigned.txid)
    if prepared is None:
        raise Refusal("This transaction was not prepared by this account.")
    owners = [_owner(account, outpoint) for outpoint in unsigned.outpoints]
    spent = [Spent(own.kind, own.redeem, amount_minor) for own, amount_minor in owners]
    user = account.user.public
    for number, each in enumerate(spent):
        signature = signatures.get((number, user.hex()))
        if signature is None or not verify(user, bytes.fromhex(signature), digest(unsigned, number, each)):
            raise Refusal(f"The signature of input {number} is invalid.")
    both = [
        [own.key.sign(digest(unsigned, number, spent[number])), bytes.fromhex(signatures[number, user.hex()])]
        for number, (own, _) in enumerate(owners)
    ]
    done = complete(unsigned, spent, both)
    entry = Entry(
        txid=done.transaction.txid,
        transaction=done.transaction,
        raw=done.raw,
        payees=prepared["payees"],  # type: ignore[arg-type]
        senders=tuple(dict.fromkeys(own.address for own, _ in owners)),
        spent_minor=tuple(amount_minor for _, amount_minor in owners),
        number=account.chain.unique(),
        seen_at=int(time.time()),
        own=True,
    )
    account.submitted[unsigned.txid] = entry.txid
    return account.enter(entry)


def _owner(account: Account, outpoint: Outpoint) -> tuple[OwnAddress, int]:
    entry = account.chain.entries.get(outpoint.txid)
    if entry is None or entry.conflicted or outpoint in account.chain.spent_by:
        raise Refusal("Some of the inputs are spent already.")
    payee = entry.payees[outpoint.vout]
    if payee is None or payee not in account.addresses:
        raise Refusal("Some of the inputs do not belong to this account.")
    return account.addresses[payee], entry.transaction.outputs[outpoint.vout].amount_minor


def _repeat(account: Account, unsigned: Transaction) -> Txid:
    """Answer to a payload that was submitted before; what the service does then is not known."""
    first = account.submitted[unsigned.txid]
    entry = account.chain.entries[first]
    if entry.conflicted or account.behaviour.repeat == "refuse":
        raise Refusal("Some of the inputs are spent already.")
    if account.behaviour.repeat == "resigned" and any(each.script for each in entry.transaction.inputs):
        return Txid("ab" * 32)
    return first


def spend_elsewhere(account: Account, outpoints: list[Outpoint], to: str) -> Txid:
    """Spend coins of the wallet past its owner; what spent them before is dropped."""
    with account.lock:
        for outpoint in outpoints:
            rival = account.chain.spent_by.get(outpoint)
            if rival is not None:
                account.chain.drop(rival)
        owners = [_owner(account, outpoint) for outpoint in outpoints]
        amount_minor = sum(minor for _, minor in owners) - account.minor(Decimal("0.0001"))
        transaction = Transaction(
            tuple(Input(outpoint) for outpoint in outpoints), (Output(amount_minor, script_of(to, account.rules)),)
        )
        return account.enter(
            Entry(
                txid=transaction.txid,
                transaction=transaction,
                raw=transaction.serialise().hex(),
                payees=(to,),
                senders=tuple(dict.fromkeys(own.address for own, _ in owners)),
                spent_minor=tuple(minor for _, minor in owners),
                number=account.chain.unique(),
                seen_at=int(time.time()),
                own=True,
            )
        )
