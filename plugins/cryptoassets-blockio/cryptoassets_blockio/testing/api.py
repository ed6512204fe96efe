"""The methods of the service as the stand-in answers them: from an account and parameters to ``data``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cryptoassets_blockio.scripts import WITNESS_V0, script_of
from cryptoassets_blockio.testing import desk
from cryptoassets_blockio.testing import hooks as notifications
from cryptoassets_blockio.testing.account import Account, OwnAddress, Refusal
from cryptoassets_blockio.testing.chain import Entry
from cryptoassets_core.errors import BadAddress

Parameters = Mapping[str, Any]


def _split(parameters: Parameters, *names: str) -> list[str]:
    for name in names:
        value = parameters.get(name)
        if isinstance(value, str) and value:
            return value.split(",")
    raise Refusal(f"The parameter {names[0]} is missing.")


def _own(account: Account, address: str) -> OwnAddress:
    own = account.addresses.get(address)
    if own is None:
        raise Refusal(f"Address {address} does not belong to this account.")
    return own


def _row(account: Account, own: OwnAddress) -> dict[str, Any]:
    available, pending = account.balances({own.address})
    return {
        "user_id": 1,
        "address": own.address,
        "label": own.label,
        "available_balance": account.shown(available),
        "pending_received_balance": account.shown(pending),
        "is_segwit": own.kind == WITNESS_V0,
    }


# --- Addresses ----------------------------------------------------------------------------------------------


def get_new_address(account: Account, parameters: Parameters) -> dict[str, Any]:
    own = account.new_address(parameters.get("label"), parameters.get("address_type"))
    return {"network": account.name, "user_id": 1, "address": own.address, "label": own.label}


def get_address_by_label(account: Account, parameters: Parameters) -> dict[str, Any]:
    address = account.labels.get(parameters.get("label", ""))
    if address is None:
        raise Refusal("No address with that label.")
    own = account.addresses[address]
    return {"network": account.name, "user_id": 1, "address": own.address, "label": own.label}


def get_my_addresses(account: Account, parameters: Parameters) -> dict[str, Any]:
    page, size = int(parameters.get("page", 1)), account.behaviour.page_size
    alive = [own for own in account.addresses.values() if not own.archived]
    return {
        "network": account.name,
        "addresses": [_row(account, own) for own in alive[(page - 1) * size : page * size]],
        "page": page,
        "has_more": len(alive) > page * size,
    }


def archive_addresses(account: Account, parameters: Parameters) -> dict[str, Any]:
    rows = []
    for address in _split(parameters, "addresses"):
        own = _own(account, address)
        if own.label == "default":
            raise Refusal("Cannot archive addresses with label=default.")
        own.archived = True
        rows.append({"address": address, "archived": True})
    return {"network": account.name, "addresses": rows}


def is_valid_address(account: Account, parameters: Parameters) -> dict[str, Any]:
    address = parameters.get("address", "")
    try:
        script_of(address, account.rules)
        valid = True
    except BadAddress:
        valid = False
    return {"network": account.name, "address": address, "is_valid": valid}


# --- Balances -----------------------------------------------------------------------------------------------


def get_balance(account: Account, parameters: Parameters) -> dict[str, Any]:
    available, pending = account.balances()
    return {
        "network": account.name,
        "available_balance": account.shown(available),
        "pending_received_balance": account.shown(pending),
    }


def get_address_balance(account: Account, parameters: Parameters) -> dict[str, Any]:
    rows = [_row(account, _own(account, address)) for address in _split(parameters, "addresses", "address")]
    available, pending = account.balances({row["address"] for row in rows})
    return {
        "network": account.name,
        "available_balance": account.shown(available),
        "pending_received_balance": account.shown(pending),
        "balances": rows,
    }


# --- Transactions -------------------------------------------------------------------------------------------


def get_transactions(account: Account, parameters: Parameters) -> dict[str, Any]:
    kind = parameters.get("type")
    if kind not in ("received", "sent"):
        raise Refusal("The parameter type must be received or sent.")
    shows = _received if kind == "received" else _sent
    rows: list[dict[str, Any]] = []
    before, behaviour = parameters.get("before_tx"), account.behaviour
    skipping = before is not None and not behaviour.stuck_cursor
    for entry in sorted(account.chain.entries.values(), key=lambda each: -each.number):
        row = None if entry.conflicted and not behaviour.shows_conflicts else shows(account, entry)
        if row is None:
            continue
        if not skipping:
            rows.append(row)
        elif entry.txid == before:
            skipping = False
        if len(rows) == behaviour.page_size:
            break
    if skipping:
        raise Refusal("The transaction given as before_tx is not known.")
    if behaviour.echo_cursor and before is not None and len(rows) < behaviour.page_size:
        cursor = shows(account, account.chain.entries[before])
        rows += [cursor] if cursor is not None else []
    return {"network": account.name, "txs": rows}


def _common(account: Account, entry: Entry) -> dict[str, Any]:
    return {
        "txid": entry.txid,
        "from_green_address": False,
        "time": entry.seen_at,
        "confirmations": account.chain.confirmations(entry),
        "senders": list(entry.senders),
        "confidence": 1.0,
        "propagated_by_nodes": None,
    }


def _outputs(account: Account, entry: Entry) -> list[tuple[str | None, int]]:
    return [(payee, output.amount_minor) for payee, output in zip(entry.payees, entry.transaction.outputs, strict=True)]


def _amount(account: Account, recipient: str | None, amount_minor: int) -> dict[str, Any]:
    return {"recipient": recipient, "amount": account.shown(amount_minor)}


def _is_change(entry: Entry, payee: str | None) -> bool:
    return entry.own and payee in entry.senders


def _received(account: Account, entry: Entry) -> dict[str, Any] | None:
    amounts = [
        _amount(account, payee, amount_minor)
        for payee, amount_minor in _outputs(account, entry)
        if payee in account.addresses and (account.behaviour.change_is_received or not _is_change(entry, payee))
    ]
    return {**_common(account, entry), "amounts_received": amounts} if amounts else None


def _sent(account: Account, entry: Entry) -> dict[str, Any] | None:
    if not entry.own:
        return None
    amounts = [
        (payee, amount_minor)
        for payee, amount_minor in _outputs(account, entry)
        if account.behaviour.change_is_sent or not _is_change(entry, payee)
    ]
    return {
        **_common(account, entry),
        "amounts_sent": [_amount(account, payee, amount_minor) for payee, amount_minor in amounts],
        "total_amount_sent": account.shown(sum(amount_minor for _, amount_minor in amounts)),
    }


def get_raw_transaction(account: Account, parameters: Parameters) -> dict[str, Any]:
    entry = account.chain.entries.get(parameters.get("txid", ""))
    if entry is None or (entry.conflicted and not account.behaviour.shows_conflicts):
        raise Refusal("No such transaction.")
    senders = [*entry.senders, *[entry.senders[-1]] * len(entry.spent_minor)]
    inputs = [
        {"input_no": number, "address": senders[number]}
        | ({"value": account.shown(amount_minor or 0)} if account.behaviour.raw_has_values else {})
        for number, amount_minor in enumerate(entry.spent_minor)
    ]
    return {
        "network": account.name,
        "txid": entry.txid,
        "blockhash": entry.block.hash if entry.block else None,
        "confirmations": account.chain.confirmations(entry),
        "time": entry.seen_at,
        "inputs": inputs,
        "outputs": [
            {"output_no": vout, "address": payee, "value": account.shown(amount_minor), "type": "scripthash"}
            for vout, (payee, amount_minor) in enumerate(_outputs(account, entry))
        ],
        "tx_hex": entry.raw,
    }


# --- Withdrawals --------------------------------------------------------------------------------------------


def prepare_transaction(account: Account, parameters: Parameters) -> dict[str, Any]:
    addresses = _split(parameters, "to_addresses", "to_address")
    try:
        amounts = [Decimal(text) for text in _split(parameters, "amounts", "amount")]
    except InvalidOperation:
        raise Refusal("One of the amounts is invalid.") from None
    if len(amounts) != len(addresses) or len(addresses) > 2500:
        raise Refusal("The number of amounts must equal the number of destinations, at most 2500.")
    sources = _split(parameters, "from_addresses") if parameters.get("from_addresses") else None
    return desk.prepare(account, list(zip(addresses, amounts, strict=True)), sources)


def submit_transaction(account: Account, parameters: Parameters) -> dict[str, Any]:
    data = parameters.get("transaction_data")
    if not isinstance(data, dict):
        raise Refusal("The parameter transaction_data is missing.")
    return {"network": account.name, "txid": desk.submit(account, data)}


METHODS: Final[Mapping[str, Callable[[Account, Parameters], dict[str, Any]]]] = {
    method.__name__: method
    for method in (
        archive_addresses,
        get_address_balance,
        get_address_by_label,
        get_balance,
        get_my_addresses,
        get_new_address,
        get_raw_transaction,
        get_transactions,
        is_valid_address,
        prepare_transaction,
        submit_transaction,
    )
}


def answer(account: Account, hooks: notifications.Hooks, method: str, parameters: Parameters) -> object:
    """Answer a call.

    :raises Refusal: the service's no.
    """
    if method in notifications.METHODS:
        # Not under the lock: the service posts to the URL before it answers.
        return hooks.call(account, method, parameters)
    if method not in METHODS:
        raise Refusal(f"No such method: {method}.")
    with account.lock:
        return METHODS[method](account, parameters)
