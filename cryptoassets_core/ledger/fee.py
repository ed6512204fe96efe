"""Fees that the network took for broadcasts, charged to an account of their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Select, exists, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import LedgerError, WrongWalletError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.posting import credit, debit, post
from cryptoassets_core.ledger.states import AccountKind, NetworkTransactionType, TransactionKind, TransactionState
from cryptoassets_core.ledger.upsert import insert_missing


def fee_account_id(session: Session, books: Books, *, wallet_id: int) -> int:
    """Return the id of the wallet's fee account, which is made when first needed."""
    account = books.account
    wanted = select(account.c.id).where(account.c.wallet_id == wallet_id, account.c.kind == AccountKind.NETWORK_FEE)
    found: int | None = session.scalar(wanted)
    if found is None:
        name = books.models["account"].NETWORK_FEE_ACCOUNT
        insert_missing(session, account, [{"wallet_id": wallet_id, "name": name, "kind": AccountKind.NETWORK_FEE}])
        return int(session.scalars(wanted).one())
    return found


def book_fee(session: Session, books: Books, *, wallet_id: int, network_transaction_id: int, amount: Decimal) -> Any:
    """Charge a broadcast's fee to the wallet's fee account, which may go below zero.

    :param amount: whole coins.
    :returns: the transaction.
    :raises WrongWalletError: the broadcast is not one of this wallet's.
    :raises LedgerError: its fee is booked already.
    """
    amount = check_amount(amount, books.coin.decimals)
    _check_broadcast(session, books, wallet_id=wallet_id, network_transaction_id=network_transaction_id)
    account_id = fee_account_id(session, books, wallet_id=wallet_id)
    return post(
        session,
        books,
        wallet_id=wallet_id,
        kind=TransactionKind.NETWORK_FEE,
        state=TransactionState.NETWORK_FEE,
        amount=amount,
        network_transaction_id=network_transaction_id,
        credited_at=utc_now(),
        sending=debit(session, books, account_id=account_id, amount=amount, allow_overdraft=True),
    )


def refund_fee(session: Session, books: Books, *, network_transaction_id: int) -> Any | None:
    """Give the fee of a broadcast back that can never confirm: the network has not taken it.

    :returns: the refund; None if no fee is booked, or it is refunded already.
    """
    network = books.network_transaction
    session.execute(select(network.c.id).where(network.c.id == network_transaction_id).with_for_update())
    fee = session.execute(_booked_fee(books, network_transaction_id)).one_or_none()
    if fee is None:
        return None
    return post(
        session,
        books,
        wallet_id=fee.wallet_id,
        kind=TransactionKind.REFUND,
        state=TransactionState.REFUND,
        amount=fee.amount,
        network_transaction_id=network_transaction_id,
        answers_id=fee.id,
        credited_at=utc_now(),
        receiving=credit(session, books, account_id=fee.sending_account_id, amount=fee.amount),
    )


def correct_fee(session: Session, books: Books, *, wallet_id: int, network_transaction_id: int, amount: Decimal) -> Any:
    """Charge what the network took, in place of what is booked if that is another fee.

    A wallet's own transaction may be replaced by one that pays the same for a higher fee.

    :param amount: whole coins.
    :returns: the transaction.
    """
    network = books.network_transaction
    refund_fee(session, books, network_transaction_id=network_transaction_id)
    session.execute(update(network).where(network.c.id == network_transaction_id).values(fee=amount))
    return book_fee(session, books, wallet_id=wallet_id, network_transaction_id=network_transaction_id, amount=amount)


def _booked_fee(books: Books, network_transaction_id: int) -> Select[Any]:
    """Select the fee that is charged for a broadcast and was not given back."""
    transaction = books.transaction
    answer = transaction.alias()
    return select(transaction).where(
        transaction.c.network_transaction_id == network_transaction_id,
        transaction.c.kind == TransactionKind.NETWORK_FEE,
        ~exists().where(answer.c.answers_id == transaction.c.id, answer.c.kind == TransactionKind.REFUND),
    )


def _check_broadcast(session: Session, books: Books, *, wallet_id: int, network_transaction_id: int) -> None:
    network = books.network_transaction
    ours = session.scalar(
        select(network.c.id)
        .where(
            network.c.id == network_transaction_id,
            network.c.transaction_type == NetworkTransactionType.BROADCAST,
            network.c.wallet_id == wallet_id,
        )
        # Whoever books it as well waits here, and then finds it booked.
        .with_for_update()
    )
    if ours is None:
        raise WrongWalletError(f"network transaction {network_transaction_id} is no broadcast of wallet {wallet_id}")
    booked = session.execute(_booked_fee(books, network_transaction_id)).one_or_none()
    if booked is not None:
        raise LedgerError(
            f"the fee of network transaction {network_transaction_id} is booked already, by transaction {booked.id}"
        )
