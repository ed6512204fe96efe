"""Recompute the books and name every row that does not fit.

What is read streams through; memory does not grow with the books. Run it in one read-only session, so that all rules
look at one moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import Select, and_, exists, func, literal, or_, select, type_coerce, union_all
from sqlalchemy.orm import Session, aliased

from cryptoassets_core.amounts import EXACT
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.states import (
    AccountKind,
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionKind,
    TransactionState,
)
from cryptoassets_core.models.types import Amount

#: Rows fetched at a time.
STREAM = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the books that must not be."""

    coin: str
    #: Which rule is broken.
    rule: str
    #: Table of the offending row.
    table: str
    row_id: int
    #: What is wrong, for people.
    message: str


def audit(session: Session, coin: Coin) -> Iterator[Finding]:
    """Check one coin's books; yields nothing when all is well."""
    yield from _accounts(session, coin)
    for rule, message, offending in _rules(coin):
        for row in _stream(session, offending):
            yield Finding(coin.name, rule, f"{coin.name}_transaction", row.id, message)
    yield from _addresses(session, coin)


def _stream(session: Session, query: Any) -> Any:
    return session.execute(query, execution_options={"yield_per": STREAM})


# --- Every account, entry by entry --------------------------------------------------------------------------


def _accounts(session: Session, coin: Coin) -> Iterator[Finding]:
    account = coin.wallet_model.books().account
    histories = groupby(_stream(session, _legs(coin)), key=lambda leg: leg.account_id)
    waiting = next(histories, None)
    for row in _stream(session, select(account).order_by(account.c.id)):
        legs: Iterator[Any] = iter(())
        while waiting is not None and waiting[0] < row.id:
            yield from _without_account(coin, waiting)
            waiting = next(histories, None)
        if waiting is not None and waiting[0] == row.id:
            legs = waiting[1]
        yield from _account(coin, row, legs)
        if waiting is not None and waiting[0] == row.id:
            waiting = next(histories, None)
    while waiting is not None:
        yield from _without_account(coin, waiting)
        waiting = next(histories, None)


def _without_account(coin: Coin, history: tuple[int, Iterator[Any]]) -> Iterator[Finding]:
    account_id, legs = history
    for leg in legs:
        yield Finding(
            coin.name, "account", f"{coin.name}_transaction", leg.id, f"its account {account_id} does not exist"
        )


def _legs(coin: Coin) -> Any:
    transaction = coin.wallet_model.books().transaction
    sides = [
        select(
            transaction.c[f"{side}_account_id"].label("account_id"),
            transaction.c[f"{side}_entry"].label("entry"),
            transaction.c[f"{side}_balance_after"].label("balance_after"),
            literal(sign).label("sign"),
            transaction.c.amount,
            transaction.c.id,
            transaction.c.kind,
            transaction.c.overdraft,
            transaction.c.wallet_id,
        ).where(transaction.c[f"{side}_entry"].is_not(None))
        for side, sign in (("sending", -1), ("receiving", 1))
    ]
    return union_all(*sides).order_by("account_id", "entry")


def _account(coin: Coin, account: Any, legs: Iterator[Any]) -> Iterator[Finding]:
    balance, entries = Decimal(0), 0

    def wrong(rule: str, row_id: int, message: str, table: str = "transaction") -> Finding:
        return Finding(coin.name, rule, f"{coin.name}_{table}", row_id, f"account {account.id}: {message}")

    for leg in legs:
        entries += 1
        balance = EXACT.add(balance, EXACT.multiply(leg.sign, leg.amount))
        if leg.entry != entries:
            yield wrong("entries", leg.id, f"entry {entries} is missing, the next one is {leg.entry}")
            entries = leg.entry
        if leg.balance_after != balance:
            yield wrong(
                "running balance", leg.id, f"the balance after is {leg.balance_after:f}, it follows {balance:f}"
            )
            balance = leg.balance_after
        if leg.wallet_id != account.wallet_id:
            yield wrong("wallet", leg.id, f"it is in wallet {account.wallet_id}, the row in wallet {leg.wallet_id}")
        allowed = leg.overdraft or leg.kind == TransactionKind.REVERSAL or account.kind == AccountKind.NETWORK_FEE
        if balance < 0 and leg.sign < 0 and not allowed:
            yield wrong("below zero", leg.id, f"it was taken to {balance:f} and nothing allowed that")
    if account.entries != entries:
        yield wrong("entries", account.id, f"it counts {account.entries} entries, there are {entries}", "account")
    if account.overdrawn != (account.balance < 0):
        yield wrong("below zero", account.id, "its mark of being below zero is not what its balance says", "account")
    if account.balance != balance:
        yield wrong(
            "balance", account.id, f"its balance is {account.balance:f}, its rows add up to {balance:f}", "account"
        )


# --- Rows that need one another -----------------------------------------------------------------------------


def _rules(coin: Coin) -> Iterator[tuple[str, str, Select[Any]]]:
    books = coin.wallet_model.books()
    row, network = books.transaction, books.network_transaction
    answer, cause = aliased(row), aliased(row)
    kind, state = TransactionKind, TransactionState

    def rows(*conditions: Any) -> Select[Any]:
        return select(row.c.id).where(*conditions).order_by(row.c.id)

    def answered_by(answer_kind: TransactionKind) -> Any:
        return exists().where(answer.c.answers_id == row.c.id, answer.c.kind == answer_kind)

    def answers(*conditions: Any) -> Any:
        return exists().where(cause.c.id == row.c.answers_id, cause.c.amount == row.c.amount, *conditions)

    yield (
        "legs",
        "its accounts are not those that its kind moves",
        rows(
            or_(
                and_(row.c.kind.in_(_TWO_LEGS), or_(row.c.sending_entry.is_(None), row.c.receiving_entry.is_(None))),
                and_(
                    row.c.kind.in_(_PAYS_ONLY),
                    or_(row.c.sending_entry.is_(None), row.c.receiving_account_id.is_not(None)),
                ),
                and_(
                    row.c.kind.in_(_RECEIVES_ONLY),
                    or_(row.c.receiving_account_id.is_(None), row.c.sending_account_id.is_not(None)),
                ),
            )
        ),
    )
    yield (
        "state",
        "its state is not one that its kind can have",
        rows(~or_(*(and_(row.c.kind == kind_, row.c.state.in_(states)) for kind_, states in _STATES.items()))),
    )
    yield (
        "credit",
        "its credit, its entry and its state do not go together",
        rows(
            row.c.receiving_account_id.is_not(None),
            or_(
                and_(row.c.credited_at.is_not(None), row.c.receiving_entry.is_(None)),
                and_(row.c.credited_at.is_(None), row.c.receiving_entry.is_not(None)),
                and_(row.c.credited_at.is_(None), row.c.kind != kind.DEPOSIT),
                and_(row.c.credited_at.is_not(None), row.c.state == state.BELOW_MINIMUM),
            ),
        ),
    )
    yield (
        "refund",
        "the withdrawal was given up and not refunded",
        rows(
            row.c.kind == kind.WITHDRAWAL,
            row.c.state.in_([state.FAILED, state.CANCELLED]),
            ~answered_by(kind.REFUND),
        ),
    )
    yield (
        "refund",
        "it does not refund a withdrawal that was given up, or the fee of a broadcast that died or cost another one",
        rows(
            row.c.kind == kind.REFUND,
            ~answers(
                cause.c.sending_account_id == row.c.receiving_account_id,
                or_(
                    and_(cause.c.kind == kind.WITHDRAWAL, cause.c.state.in_([state.FAILED, state.CANCELLED])),
                    and_(
                        cause.c.kind == kind.NETWORK_FEE,
                        or_(
                            exists().where(
                                network.c.id == cause.c.network_transaction_id,
                                network.c.state == NetworkTransactionState.DEAD,
                            ),
                            exists().where(
                                answer.c.network_transaction_id == cause.c.network_transaction_id,
                                answer.c.kind == kind.NETWORK_FEE,
                                answer.c.id > cause.c.id,
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )
    yield (
        "reversal",
        "the credited deposit was taken back and not reversed",
        rows(
            row.c.kind == kind.DEPOSIT,
            row.c.state == state.REVERSED,
            row.c.credited_at.is_not(None),
            ~answered_by(kind.REVERSAL),
        ),
    )
    yield (
        "reversal",
        "it does not reverse a credited deposit that was taken back",
        rows(
            row.c.kind == kind.REVERSAL,
            ~answers(
                cause.c.kind == kind.DEPOSIT,
                cause.c.state == state.REVERSED,
                cause.c.credited_at.is_not(None),
                cause.c.receiving_account_id == row.c.sending_account_id,
            ),
        ),
    )
    yield (
        "broadcast",
        "it is said to be broadcast, and no broadcast with a txid carries it",
        rows(
            row.c.kind == kind.WITHDRAWAL,
            row.c.state.in_([state.BROADCASTED, state.PROCESSED]),
            ~exists().where(
                network.c.id == row.c.network_transaction_id,
                network.c.transaction_type == NetworkTransactionType.BROADCAST,
                network.c.txid.is_not(None),
                network.c.state.in_([NetworkTransactionState.LIVE, NetworkTransactionState.DEAD]),
            ),
        ),
    )
    yield (
        "fee",
        "it is not the fee of its broadcast, or the broadcast's fee is booked twice",
        rows(
            row.c.kind == kind.NETWORK_FEE,
            ~answered_by(kind.REFUND),
            or_(
                ~exists().where(network.c.id == row.c.network_transaction_id, network.c.fee == row.c.amount),
                exists().where(
                    answer.c.network_transaction_id == row.c.network_transaction_id,
                    answer.c.kind == kind.NETWORK_FEE,
                    answer.c.id < row.c.id,
                    ~exists().where(cause.c.answers_id == answer.c.id, cause.c.kind == kind.REFUND),
                ),
            ),
        ),
    )
    yield (
        "fee",
        "its broadcast has a fee that is not booked",
        rows(
            row.c.kind == kind.WITHDRAWAL,
            row.c.state.in_([state.BROADCASTED, state.PROCESSED]),
            exists().where(network.c.id == row.c.network_transaction_id, network.c.fee > 0),
            ~exists().where(
                answer.c.network_transaction_id == row.c.network_transaction_id, answer.c.kind == kind.NETWORK_FEE
            ),
        ),
    )


#: What a movement of each kind can come to; the kinds that are final at once have one state, of the same name.
_STATES: dict[TransactionKind, list[TransactionState]] = {
    **{kind: [TransactionState(kind.value)] for kind in TransactionKind if kind.value in list(TransactionState)},
    TransactionKind.DEPOSIT: [
        TransactionState.INCOMING,
        TransactionState.PROCESSED,
        TransactionState.BELOW_MINIMUM,
        TransactionState.REVERSED,
    ],
    TransactionKind.WITHDRAWAL: [
        TransactionState.PENDING,
        TransactionState.BROADCASTED,
        TransactionState.PROCESSED,
        TransactionState.CANCELLED,
        TransactionState.FAILED,
    ],
}

_TWO_LEGS = [TransactionKind.INTERNAL]
_PAYS_ONLY = [TransactionKind.WITHDRAWAL, TransactionKind.NETWORK_FEE, TransactionKind.REVERSAL]
_RECEIVES_ONLY = [TransactionKind.DEPOSIT, TransactionKind.REFUND, TransactionKind.BALANCE_IMPORT]


# --- Addresses ----------------------------------------------------------------------------------------------


def _addresses(session: Session, coin: Coin) -> Iterator[Finding]:
    """An address's balance is what was credited to it and not taken back."""
    books = coin.wallet_model.books()
    row, address = books.transaction, books.address
    amount = Amount(coin.description.decimals)
    received = (
        select(row.c.address_id, type_coerce(func.sum(row.c.amount), amount).label("total"))
        .where(
            row.c.kind == TransactionKind.DEPOSIT,
            row.c.credited_at.is_not(None),
            row.c.state != TransactionState.REVERSED,
        )
        .group_by(row.c.address_id)
        .subquery()
    )
    total = func.coalesce(received.c.total, 0)
    wrong = (
        select(address.c.id, address.c.balance, type_coerce(total, amount).label("total"))
        .outerjoin(received, received.c.address_id == address.c.id)
        .where(address.c.balance != total)
        .order_by(address.c.id)
    )
    for found in _stream(session, wrong):
        yield Finding(
            coin.name,
            "address balance",
            f"{coin.name}_address",
            found.id,
            f"its balance is {found.balance:f}, its credited deposits add up to {found.total:f}",
        )
