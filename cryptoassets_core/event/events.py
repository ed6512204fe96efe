"""The events there are, and what each carries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from cryptoassets_core.amounts import format_amount

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be written to the outbox."""

    name: str
    #: Events of one subject are delivered in the order in which they were written.
    subject: str
    data: dict[str, object]


#: Under this key a session knows what writes events to the outbox of its app.
SESSION_TELL: Final = "cryptoassets_tell"


def tell(session: Session, event: NewEvent) -> None:
    """Write an event to the outbox from where that is out of sight; a session that knows no outbox tells nobody."""
    write = session.info.get(SESSION_TELL)
    if write is not None:
        write(session, [event])


def _event(name: str, subject: str, **facts: object) -> NewEvent:
    """Make an event; amounts become text in fixed notation."""
    data = {key: format_amount(fact) if isinstance(fact, Decimal) else fact for key, fact in facts.items()}
    return NewEvent(name, subject, data)


def _of_transaction(name: str, *, coin_name: str, transaction: int, **facts: object) -> NewEvent:
    """Make an event about one deposit or withdrawal."""
    return _event(name, f"{coin_name}:{transaction}", coin_name=coin_name, transaction=transaction, **facts)


def _of_broadcast(name: str, *, coin_name: str, network_transaction: int, **facts: object) -> NewEvent:
    """Make an event about what carries withdrawals."""
    subject = f"{coin_name}:broadcast:{network_transaction}"
    return _event(name, subject, coin_name=coin_name, network_transaction=network_transaction, **facts)


def txupdate(
    *,
    coin_name: str,
    transaction: int,
    network_transaction: int,
    transaction_type: str,
    txid: str,
    account: int,
    address: str,
    amount: Decimal,
    credited: bool,
    **extra: object,
) -> NewEvent:
    """A deposit or a broadcast withdrawal was first seen, or its confirmations changed.

    :param coin_name: lowercase acronym.
    :param transaction: id of the deposit or withdrawal.
    :param network_transaction: id of the network transaction that carries it.
    :param transaction_type: ``deposit`` or ``broadcast``.
    :param account: id of the account that receives (deposit) or pays (broadcast).
    :param amount: whole coins; delivered as a string in fixed notation.
    :param credited: the deposit is credited, or the withdrawal is as deep in the chain as a deposit would have to be.
    :param extra: more about the coin, at least ``confirmations``; negative ones mean a conflict with the chain.
    """
    # Spelled out: of these there are thousands in a block.
    data = {
        "coin_name": coin_name,
        "transaction": transaction,
        "network_transaction": network_transaction,
        "transaction_type": transaction_type,
        "txid": txid,
        "account": account,
        "address": address,
        "amount": format_amount(amount),
        "credited": credited,
        **extra,
    }
    return NewEvent("txupdate", f"{coin_name}:{transaction}", data)


def deposit_reversed(
    *,
    coin_name: str,
    transaction: int,
    reversal: int,
    network_transaction: int,
    txid: str,
    account: int,
    amount: Decimal,
    balance: Decimal,
) -> NewEvent:
    """A credited deposit was taken back by the network, and from the account.

    :param transaction: id of the deposit.
    :param reversal: id of the transaction that took it back.
    :param account: id of the account that had it.
    :param amount: whole coins.
    :param balance: what the account has left, whole coins; perhaps below zero.
    """
    return _of_transaction(
        "deposit_reversed",
        coin_name=coin_name,
        transaction=transaction,
        reversal=reversal,
        network_transaction=network_transaction,
        txid=txid,
        account=account,
        amount=amount,
        balance=balance,
    )


def deposit_replaced(
    *, coin_name: str, transaction: int, network_transaction: int, txid: str, account: int, amount: Decimal
) -> NewEvent:
    """The network does not wait for an unconfirmed deposit any more: it was replaced by something else, or dropped.

    :param transaction: id of the deposit.
    :param account: id of the account that was to get it.
    :param amount: whole coins.
    """
    return _of_transaction(
        "deposit_replaced",
        coin_name=coin_name,
        transaction=transaction,
        network_transaction=network_transaction,
        txid=txid,
        account=account,
        amount=amount,
    )


def deposit_disputed(
    *,
    coin_name: str,
    transaction: int,
    network_transaction: int,
    txid: str,
    account: int,
    amount: Decimal,
    reason: str,
) -> NewEvent:
    """A deposit is deep enough and is not credited, because something about it is wrong: a person must look at it.

    Told once, and again when it is wrong in another way.

    :param transaction: id of the deposit.
    :param account: id of the account that was to get it.
    :param amount: whole coins, as first reported.
    """
    return _of_transaction(
        "deposit_disputed",
        coin_name=coin_name,
        transaction=transaction,
        network_transaction=network_transaction,
        txid=txid,
        account=account,
        amount=amount,
        reason=reason,
    )


def deposit_refused(
    *, coin_name: str, network_transaction: int, txid: str, account: int, address: str, reason: str
) -> NewEvent:
    """The network pays an account what the books cannot take; it is not credited, and a person must look at it.

    :param account: id of the account that the address belongs to.
    """
    return _event(
        "deposit_refused",
        f"{coin_name}:incoming:{network_transaction}",
        coin_name=coin_name,
        network_transaction=network_transaction,
        txid=txid,
        account=account,
        address=address,
        reason=reason,
    )


def deposits_below_minimum(*, coin_name: str, deposits: int, amount: Decimal, minimum: Decimal) -> NewEvent:
    """Deposits were seen that are too small to be credited; told once for all that were entered together.

    :param deposits: how many.
    :param amount: what they add up to, whole coins.
    :param minimum: what each would have to have, whole coins.
    """
    return _event(
        "deposits_below_minimum",
        f"{coin_name}:chain",
        coin_name=coin_name,
        deposits=deposits,
        amount=amount,
        minimum=minimum,
    )


def reorganisation(*, coin_name: str, depth: int, block: str, network_transactions: int) -> NewEvent:
    """Blocks that were followed left the chain, as far as they had transactions of ours.

    :param depth: confirmations that the deepest of these transactions had.
    :param block: hash of the block it was in.
    :param network_transactions: how many of them lost their block.
    """
    return _event(
        "reorganisation",
        f"{coin_name}:chain",
        coin_name=coin_name,
        depth=depth,
        block=block,
        network_transactions=network_transactions,
    )


def withdrawal_failed(
    *, coin_name: str, transaction: int, refund: int, account: int, address: str, amount: Decimal, reason: str
) -> NewEvent:
    """A withdrawal can never be sent, and was refunded.

    :param transaction: id of the withdrawal.
    :param refund: id of the transaction that gave it back.
    :param account: id of the account that has the coins back.
    :param amount: whole coins.
    """
    return _of_transaction(
        "withdrawal_failed",
        coin_name=coin_name,
        transaction=transaction,
        refund=refund,
        account=account,
        address=address,
        amount=amount,
        reason=reason,
    )


def withdrawal_cancelled(
    *, coin_name: str, transaction: int, refund: int, account: int, amount: Decimal, reason: str
) -> NewEvent:
    """A withdrawal was called back before it was signed, and refunded.

    :param transaction: id of the withdrawal.
    :param refund: id of the transaction that gave it back.
    :param account: id of the account that has the coins back.
    :param amount: whole coins.
    """
    return _of_transaction(
        "withdrawal_cancelled",
        coin_name=coin_name,
        transaction=transaction,
        refund=refund,
        account=account,
        amount=amount,
        reason=reason,
    )


def withdrawal_waiting(
    *, coin_name: str, network_transaction: int, withdrawals: int, amount: Decimal, reason: str
) -> NewEvent:
    """The hot wallet holds too little for a broadcast, which waits; told once for each broadcast.

    :param network_transaction: id of the broadcast.
    :param withdrawals: how many it carries.
    :param amount: what they add up to, whole coins.
    """
    return _of_broadcast(
        "withdrawal_waiting",
        coin_name=coin_name,
        network_transaction=network_transaction,
        withdrawals=withdrawals,
        amount=amount,
        reason=reason,
    )


def broadcast_interrupted(
    *, coin_name: str, network_transaction: int, label: str, withdrawals: int, amount: Decimal, reason: str
) -> NewEvent:
    """Nobody knows whether a broadcast was sent: it waits for a person.

    :param label: under which the backend was asked to keep it.
    :param withdrawals: how many it carries.
    :param amount: what they add up to, whole coins.
    """
    return _of_broadcast(
        "broadcast_interrupted",
        coin_name=coin_name,
        network_transaction=network_transaction,
        label=label,
        withdrawals=withdrawals,
        amount=amount,
        reason=reason,
    )


def broadcast_dead(
    *, coin_name: str, network_transaction: int, txid: str, withdrawals: int, amount: Decimal, reason: str
) -> NewEvent:
    """A signed broadcast, published or about to be, cannot confirm as the chain is now.

    Its coins stay reserved, and nothing is paid anew as long as a reorganisation could bring it back.

    :param network_transaction: id of the broadcast.
    :param withdrawals: how many it carries.
    :param amount: what they add up to, whole coins.
    """
    return _of_broadcast(
        "broadcast_dead",
        coin_name=coin_name,
        network_transaction=network_transaction,
        txid=txid,
        withdrawals=withdrawals,
        amount=amount,
        reason=reason,
    )


def broadcast_rebuilt(
    *, coin_name: str, network_transaction: int, txid: str | None, withdrawals: int, amount: Decimal, reason: str
) -> NewEvent:
    """A broadcast is dead for good: its withdrawals are queued again, for another network transaction.

    :param network_transaction: id of the dead broadcast.
    :param withdrawals: how many it carried.
    :param amount: what they add up to, whole coins.
    """
    return _of_broadcast(
        "broadcast_rebuilt",
        coin_name=coin_name,
        network_transaction=network_transaction,
        txid=txid,
        withdrawals=withdrawals,
        amount=amount,
        reason=reason,
    )


def backend_down(*, coin_name: str, since: datetime, reason: str) -> NewEvent:
    """A coin's backend does not do what it is asked, for a while already; told once for each outage.

    :param since: when it was first noticed; delivered in ISO 8601.
    """
    return _event("backend_down", f"{coin_name}:backend", coin_name=coin_name, since=since.isoformat(), reason=reason)


def backend_up(*, coin_name: str, at: datetime) -> NewEvent:
    """A coin's backend works again after an outage that was told.

    :param at: when that was noticed; delivered in ISO 8601.
    """
    return _event("backend_up", f"{coin_name}:backend", coin_name=coin_name, at=at.isoformat())
