"""What is told of a network transaction: the event of every deposit and withdrawal that it carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, select
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.event.events import NewEvent, txupdate
from cryptoassets_core.ledger.rowset import rowset
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


def transaction_updates(
    session: Session, coin: Coin, network_transaction_ids: Sequence[int]
) -> list[tuple[int, NewEvent]]:
    """Describe every deposit and withdrawal of network transactions as they are now, as (id, event)."""
    if not network_transaction_ids:
        return []
    books = coin.wallet_model.books()
    transaction, network = books.transaction, books.network_transaction
    wanted = rowset(session, "told", {"id": BigInteger}, [(id_,) for id_ in network_transaction_ids])
    rows = session.execute(
        select(
            transaction, books.address.c.address, network.c.txid, network.c.confirmations, network.c.transaction_type
        )
        .join(wanted, transaction.c.network_transaction_id == wanted.c.id)
        .join(network, network.c.id == transaction.c.network_transaction_id)
        .join(books.address, books.address.c.id == transaction.c.address_id)
        .where(transaction.c.kind.in_([TransactionKind.DEPOSIT, TransactionKind.WITHDRAWAL]))
        .order_by(transaction.c.id)
    )
    return [(row.id, _txupdate(coin, row)) for row in rows]


def _txupdate(coin: Coin, row: Any) -> NewEvent:
    deposit = row.kind == TransactionKind.DEPOSIT
    return txupdate(
        coin_name=coin.name,
        transaction=row.id,
        network_transaction=row.network_transaction_id,
        transaction_type=row.transaction_type.value,
        txid=row.txid,
        account=row.receiving_account_id if deposit else row.sending_account_id,
        address=row.address,
        amount=row.amount,
        credited=_is_credited(coin, row),
        confirmations=row.confirmations,
        state=row.state.value,
    )


def _is_credited(coin: Coin, row: Any) -> bool:
    if row.kind == TransactionKind.DEPOSIT:
        return row.credited_at is not None and row.state != TransactionState.REVERSED
    return bool(row.confirmations >= coin.confirmation_count)
