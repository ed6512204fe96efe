"""Transfers between two accounts of one wallet; the network never sees them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import SameAccount
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.posting import credit, debit, lock_accounts, post
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


def transfer(
    session: Session,
    books: Books,
    *,
    wallet_id: int,
    sending_account_id: int,
    receiving_account_id: int,
    amount: Decimal,
    label: str | None,
    address_id: int | None = None,
    allow_overdraft: bool = False,
) -> Any:
    """Move coins between two accounts, at once and for good.

    :param amount: whole coins.
    :param address_id: the receiving address that was named, where one was.
    :returns: the transaction.
    :raises SameAccount: sender and receiver are one.
    :raises NotEnoughAccountBalance: the sender has less.
    :raises WrongWalletError: an account belongs to another wallet.
    """
    amount = check_amount(amount, books.coin.decimals)
    if sending_account_id == receiving_account_id:
        raise SameAccount(f"account {sending_account_id} cannot send to itself; name another receiving account")
    lock_accounts(session, books, wallet_id=wallet_id, account_ids=[sending_account_id, receiving_account_id])
    sending = debit(session, books, account_id=sending_account_id, amount=amount, allow_overdraft=allow_overdraft)
    receiving = credit(session, books, account_id=receiving_account_id, amount=amount)
    return post(
        session,
        books,
        wallet_id=wallet_id,
        kind=TransactionKind.INTERNAL,
        state=TransactionState.INTERNAL,
        amount=amount,
        label=label,
        address_id=address_id,
        credited_at=utc_now(),
        sending=sending,
        receiving=receiving,
    )
