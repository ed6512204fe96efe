"""What is told of a network transaction: the event of every deposit and withdrawal that it carries."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from sqlalchemy import BigInteger, func, select, type_coerce
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.backend.chaindeposits import DepositNow
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.event.events import NewEvent, broadcast_dead, txupdate
from cryptoassets_core.ledger.rowset import rowset
from cryptoassets_core.ledger.states import NetworkTransactionType, TransactionKind
from cryptoassets_core.models.types import Amount

logger = logging.getLogger(__name__)


def transaction_updates(session: Session, coin: Coin, network_transaction_ids: Sequence[int]) -> list[NewEvent]:
    """Describe the withdrawals that network transactions carry as they are now."""
    if not network_transaction_ids:
        return []
    books = coin.wallet_model.books()
    transaction, network = books.transaction, books.network_transaction
    wanted = rowset(session, "told", {"id": BigInteger}, [(id_,) for id_ in network_transaction_ids])
    rows = session.execute(
        select(
            transaction.c.id,
            transaction.c.network_transaction_id,
            transaction.c.state,
            transaction.c.amount,
            transaction.c.sending_account_id,
            books.address.c.address,
            network.c.txid,
            network.c.confirmations,
            network.c.transaction_type,
        )
        .join(wanted, transaction.c.network_transaction_id == wanted.c.id)
        .join(network, network.c.id == transaction.c.network_transaction_id)
        .join(books.address, books.address.c.id == transaction.c.address_id)
        .where(transaction.c.kind == TransactionKind.WITHDRAWAL)
        .order_by(transaction.c.id)
    )
    return [
        txupdate(
            coin_name=coin.name,
            transaction=row.id,
            network_transaction=row.network_transaction_id,
            transaction_type=row.transaction_type.value,
            txid=row.txid,
            account=row.sending_account_id,
            address=row.address,
            amount=row.amount,
            credited=row.confirmations >= coin.confirmation_count,
            confirmations=row.confirmations,
            state=row.state.value,
        )
        for row in rows
    ]


def deposit_update(coin: Coin, deposit: DepositNow, *, txid: Txid, confirmations: int) -> NewEvent:
    """Describe a deposit as it is now."""
    row = deposit.row
    return txupdate(
        coin_name=coin.name,
        transaction=row.id,
        network_transaction=row.network_transaction_id,
        transaction_type=NetworkTransactionType.DEPOSIT.value,
        txid=txid,
        account=row.receiving_account_id,
        address=row.address,
        amount=row.amount,
        credited=deposit.credited,
        confirmations=confirmations,
        state=deposit.state,
    )


def dead_broadcasts(session: Session, coin: Coin, reasons: Mapping[int, str]) -> list[NewEvent]:
    """Say it loudly that broadcasts which the network had are dead, given the reason of each by its id.

    Those that carry nothing are passed over: they were built anew.
    """
    books = coin.wallet_model.books()
    transaction, network = books.transaction, books.network_transaction
    rows = session.execute(
        select(
            network.c.id,
            network.c.txid,
            func.count(transaction.c.id).label("withdrawals"),
            type_coerce(func.sum(transaction.c.amount), Amount(coin.description.decimals)).label("amount"),
        )
        .join(transaction, transaction.c.network_transaction_id == network.c.id)
        .where(network.c.id.in_(list(reasons)), transaction.c.kind == TransactionKind.WITHDRAWAL)
        .group_by(network.c.id, network.c.txid)
        .order_by(network.c.id)
    ).all()
    for row in rows:
        logger.error(
            "%s broadcast %s, txid %s, is dead, and the coins of its %s withdrawals stay reserved: %s",
            coin.name,
            row.id,
            row.txid,
            row.withdrawals,
            reasons[row.id],
        )
    return [
        broadcast_dead(
            coin_name=coin.name,
            network_transaction=row.id,
            txid=row.txid,
            withdrawals=row.withdrawals,
            amount=row.amount,
            reason=reasons[row.id],
        )
        for row in rows
    ]
