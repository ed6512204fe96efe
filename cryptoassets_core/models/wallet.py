"""Wallets: the way into the ledger. Each method that moves coins hands an order to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Query, Session

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import InvalidAmountError, LedgerError, UnknownRowError, WrongWalletError
from cryptoassets_core.ledger.adjustment import adjust_balance, import_balance
from cryptoassets_core.ledger.batch import naming_item, transfer_many
from cryptoassets_core.ledger.deposit import SeenDeposit, credit_deposits, record_deposits
from cryptoassets_core.ledger.fee import book_fee
from cryptoassets_core.ledger.posting import all_or_nothing
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.transfer import TransferOrder, transfer
from cryptoassets_core.ledger.twopeople import signed_label
from cryptoassets_core.ledger.withdrawal import (
    WithdrawalOrder,
    cancel_withdrawal,
    earlier_withdrawal,
    reserve_withdrawal,
)
from cryptoassets_core.models.base import SESSION_APPROVE
from cryptoassets_core.models.directory import WalletDirectory
from cryptoassets_core.names import check_id, check_label, check_name

if TYPE_CHECKING:
    from cryptoassets_core.models.account import GenericAccount
    from cryptoassets_core.models.network_transaction import GenericNetworkTransaction
    from cryptoassets_core.models.transaction import GenericTransaction


@dataclass(frozen=True, slots=True)
class Transfer:
    """One of many transfers for :py:meth:`GenericWallet.send_internal_many`; accounts as objects or ids."""

    from_account: GenericAccount | int
    to_account: GenericAccount | int
    #: Whole coins.
    amount: Decimal
    label: str | None = None
    idempotency_key: str | None = None
    #: Who asked for it and who approved it, which a transfer above the coin's ``max_transfer`` needs.
    created_by: str | None = None
    approved_by: str | None = None


class GenericWallet(WalletDirectory):
    """Accounts that share one hot wallet at the backend, and the way to move coins between and out of them.

    Every method posts to the database at once, after whatever the session has pending, and commits nothing. Accounts
    are given as objects or by id. With an ``idempotency_key`` a call can be repeated without moving anything twice: it
    returns the first transaction, or raises IdempotencyConflictError if the key was used for something else.
    """

    __abstract__ = True

    def send(
        self,
        from_account: GenericAccount | int,
        receiving_address: str,
        amount: Decimal,
        label: str | None,
        force_external: bool = False,
        testnet: bool | None = None,
        *,
        idempotency_key: str | None = None,
        created_by: str | None = None,
        approved_by: str | None = None,
    ) -> GenericTransaction:
        """Pay an address: inside the wallet when it is one of this wallet's, else over the network.

        :param amount: whole coins.
        :param force_external: pay over the network even an address of this wallet.
        :param testnet: whether a test network is meant; refused if the coin is configured otherwise. None: whichever.
        :param created_by: who asked for it; ``approved_by`` is somebody else then, and the label names both.
        :raises WrongWalletError: the address belongs to another wallet here; use ``force_external``.
        :raises TransferAboveLimit: inside the wallet it takes two people to move so much.
        """
        canonical = self._payable(receiving_address, testnet)
        receiver = None if force_external else self.receiving_address(canonical)
        if receiver is None or receiver.account is None:
            label = signed_label(label, created_by, approved_by, what="a withdrawal")
            return self.send_external(from_account, canonical, amount, label, idempotency_key=idempotency_key)
        if receiver.account.wallet_id != self.id:
            raise WrongWalletError(
                f"the address {canonical} belongs to wallet {receiver.account.wallet_id} of this application; "
                "send with force_external=True to pay it over the network"
            )
        return self._transfer(
            from_account,
            receiver.account,
            amount,
            label,
            address_id=receiver.id,
            idempotency_key=idempotency_key,
            created_by=created_by,
            approved_by=approved_by,
        )

    def send_internal(
        self,
        from_account: GenericAccount | int,
        to_account: GenericAccount | int,
        amount: Decimal,
        label: str | None,
        allow_negative_balance: bool = False,
        *,
        idempotency_key: str | None = None,
        created_by: str | None = None,
        approved_by: str | None = None,
    ) -> GenericTransaction:
        """Move coins between two accounts of this wallet.

        :param amount: whole coins.
        :param allow_negative_balance: let the sender go below zero.
        :param created_by: who asked for it; ``approved_by`` is somebody else then, and the label names both.
        :raises NotEnoughAccountBalance: the sender has less.
        :raises SameAccount: sender and receiver are one.
        :raises TransferAboveLimit: it takes two people to move so much.
        """
        return self._transfer(
            from_account,
            to_account,
            amount,
            label,
            overdraft=allow_negative_balance,
            idempotency_key=idempotency_key,
            created_by=created_by,
            approved_by=approved_by,
        )

    def send_internal_many(self, transfers: Sequence[Transfer]) -> list[int]:
        """Make thousands of transfers at once, in order, all of them or none.

        :returns: the transaction id of each transfer; an earlier one's where its idempotency key was used before.
        :raises LedgerError: as for a single transfer; ``item`` tells which one was refused, and nothing is written.
        """
        session, wallet_id = self._flushed(), self._id()
        orders = []
        with naming_item(len(transfers)) as item:
            for item.place, order in enumerate(transfers):
                orders.append(
                    TransferOrder(
                        wallet_id=wallet_id,
                        sending_account_id=self._account_id(order.from_account),
                        receiving_account_id=self._account_id(order.to_account),
                        amount=order.amount,
                        label=order.label,
                        idempotency_key=order.idempotency_key,
                        created_by=order.created_by,
                        approved_by=order.approved_by,
                    )
                )
        return transfer_many(session, self.limited_books(), wallet_id=wallet_id, orders=orders)

    def send_external(
        self,
        from_account: GenericAccount | int,
        to_address: str,
        amount: Decimal,
        label: str | None,
        testnet: bool | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> GenericTransaction:
        """Queue a payment over the network; its coins are taken from the account at once.

        :param amount: whole coins that the payee gets; the network's fee is charged to the fee account.
        :returns: the transaction, pending until the helper daemon broadcasts it.
        :raises BadAddress: it is no address of this coin's network.
        :raises InvalidAmountError: as always, and when the network would not carry so little.
        :raises NotEnoughAccountBalance: the account has less.
        :raises WithdrawalRefused: a rule of the application, or of a plugin, forbids it.
        """
        amount = check_amount(amount, self.coin.decimals)
        if amount < self.coin.dust:
            raise InvalidAmountError(
                f"{amount:f} {self.coin.symbol.upper()} is too little to send over the network, "
                f"which carries {self.coin.dust:f} or more"
            )
        address, account_id = self._payable(to_address, testnet), self._account_id(from_account)
        session, books = self._flushed(), self.books()
        with all_or_nothing(session):
            order = WithdrawalOrder(
                wallet_id=self._id(),
                account_id=account_id,
                address_id=self.get_or_create_external_address(address).id,
                amount=amount,
                label=check_label(label),
                idempotency_key=idempotency_key,
            )
            transaction: GenericTransaction | None = earlier_withdrawal(session, books, order)
            if transaction is None:
                transaction = reserve_withdrawal(session, books, order)
                self._ask_for_approval(session, order, address)
        return transaction

    def cancel_withdrawal(self, transaction: GenericTransaction | int, reason: str = "cancelled") -> GenericTransaction:
        """Call back a withdrawal that is still pending, and refund it; safe to repeat.

        :returns: the refund.
        :raises LedgerError: it is signed or sent already.
        """
        refund: GenericTransaction = cancel_withdrawal(
            self._flushed(),
            self.books(),
            wallet_id=self._id(),
            transaction_id=check_id(
                transaction if isinstance(transaction, int) else self._own_row("transaction", transaction), "withdrawal"
            ),
            reason=check_name(reason, "the reason of a cancellation"),
        )
        return refund

    def import_balance(
        self,
        account: GenericAccount | int,
        amount: Decimal,
        label: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> GenericTransaction:
        """Credit coins that the backend's wallet held before these books began."""
        transaction: GenericTransaction = import_balance(
            self._flushed(),
            self.books(),
            wallet_id=self._id(),
            account_id=self._account_id(account),
            amount=amount,
            label=check_label(label),
            idempotency_key=idempotency_key,
        )
        return transaction

    def adjust_balance(
        self,
        account: GenericAccount | int,
        amount: Decimal,
        *,
        direction: Literal["credit", "debit"],
        reason: str,
        created_by: str,
        approved_by: str,
        idempotency_key: str | None = None,
    ) -> GenericTransaction:
        """Put an account right on the word of two people; see :py:func:`~cryptoassets_core.ledger.adjustment`."""
        transaction: GenericTransaction = adjust_balance(
            self._flushed(),
            self.books(),
            wallet_id=self._id(),
            account_id=self._account_id(account),
            amount=amount,
            direction=direction,
            reason=reason,
            created_by=created_by,
            approved_by=approved_by,
            idempotency_key=idempotency_key,
        )
        return transaction

    def charge_network_fees(self, broadcast: GenericNetworkTransaction, fee: Decimal) -> GenericTransaction:
        """Charge what the network took for a broadcast to the wallet's fee account.

        :param fee: whole coins.
        """
        transaction: GenericTransaction = book_fee(
            self._flushed(),
            self.books(),
            wallet_id=self._id(),
            network_transaction_id=self._own_row("network_transaction", broadcast),
            amount=fee,
        )
        return transaction

    def _transfer(
        self,
        from_account: GenericAccount | int,
        to_account: GenericAccount | int,
        amount: Decimal,
        label: str | None,
        **options: Any,
    ) -> GenericTransaction:
        session = self._flushed()
        order = TransferOrder(
            wallet_id=self._id(),
            sending_account_id=self._account_id(from_account),
            receiving_account_id=self._account_id(to_account),
            amount=amount,
            label=check_label(label),
            **options,
        )
        transaction: GenericTransaction = transfer(session, self.limited_books(), order)
        return transaction

    def _ask_for_approval(self, session: Session, order: WithdrawalOrder, address: str) -> None:
        """Let rules decide after the reservation, so that limits that add up what was sent see this one too."""
        approve = session.info.get(SESSION_APPROVE)
        if approve is not None:
            account = session.get_one(self.sibling("account"), order.account_id)
            approve(session=session, wallet=self, account=account, address=address, amount=order.amount)

    # --- Transactions ---------------------------------------------------------------------------------------

    def deposit(
        self,
        ntx: GenericNetworkTransaction,
        address: str,
        amount: Decimal,
        extra: Mapping[str, object] | None = None,
    ) -> tuple[GenericAccount, GenericTransaction, bool]:
        """Book what a network transaction pays to one of this wallet's addresses; for backends of one's own.

        To be repeated as ``ntx.confirmations`` grow: the deposit is credited once, when they suffice. The daemon does
        the same for many at once.

        :param amount: whole coins, all outputs to the address together.
        :param extra: not used, as before 1.0.
        :returns: the account, the deposit, and whether it is credited.
        :raises UnknownRowError: the address is not one of this wallet's.
        :raises LedgerError: the deposit was reported with another amount before.
        :raises InvalidAmountError: it is no amount, or more than the account can hold.
        """
        amount = check_amount(amount, self.coin.decimals)
        owner = self.receiving_address(self.configured_coin().canonical_address(address))
        if owner is None or owner.account is None or owner.account.wallet_id != self._id():
            raise UnknownRowError(f"wallet {self._id()} has no receiving address {address}")
        session, books, model = self._flushed(), self.books(), self.sibling("transaction")
        network_transaction_id = self._own_row("network_transaction", ntx)
        seen = SeenDeposit(
            network_transaction_id=network_transaction_id,
            address_id=owner.id,
            account_id=owner.account.id,
            wallet_id=self._id(),
            amount=amount,
            below_minimum=self.configured_coin().is_below_minimum(amount),
        )
        record_deposits(session, books, [seen])
        deposit = session.scalars(
            select(model)
            .where(model.network_transaction_id == network_transaction_id, model.address_id == owner.id)
            .where(model.kind == TransactionKind.DEPOSIT, model.state != TransactionState.REVERSED)
        ).one()
        if deposit.amount != amount:
            raise LedgerError(
                f"deposit {deposit.id} was reported as {deposit.amount:f} before, now as {amount:f}; it stays as it is"
            )
        if ntx.can_be_confirmed():
            credited = credit_deposits(session, books, [deposit.id])
            if credited.refused:
                raise InvalidAmountError(credited.refused[deposit.id])
            if credited.ids:
                session.refresh(deposit)
        return owner.account, deposit, deposit.credited_at is not None

    def get_pending_outgoing_transactions(self) -> Query[GenericTransaction]:
        """Return the query of this wallet's withdrawals that no broadcast carries yet."""
        transaction = self.sibling("transaction")
        return self._transactions().filter(
            transaction.state == TransactionState.PENDING, transaction.network_transaction_id.is_(None)
        )

    def get_deposit_transactions(self) -> Query[GenericTransaction]:
        """Return the query of this wallet's deposits, unconfirmed ones included."""
        return self._transactions().filter(self.sibling("transaction").kind == TransactionKind.DEPOSIT)

    def get_active_external_received_transactions(self) -> Query[GenericTransaction]:
        """Return the query of this wallet's deposits that wait for confirmations."""
        return self._transactions().filter(self.sibling("transaction").is_uncredited_deposit())

    def mark_transaction_processed(self, transaction_id: int) -> None:
        """Note that the application has dealt with a deposit or a withdrawal; crediting goes on regardless.

        :raises LedgerError: it is not a deposit or broadcasted withdrawal of this wallet.
        """
        transaction = self.session().get(self.sibling("transaction"), check_id(transaction_id, "transaction"))
        if transaction is None or transaction.wallet_id != self.id:
            raise UnknownRowError(f"wallet {self.id} has no transaction {transaction_id}")
        if transaction.state == TransactionState.PROCESSED:
            return
        if transaction.state not in (TransactionState.INCOMING, TransactionState.BROADCASTED):
            raise LedgerError(
                f"transaction {transaction_id} is {transaction.state}, so there is nothing to acknowledge"
            )
        transaction.state = TransactionState.PROCESSED
        transaction.processed_at = transaction.processed_at or utc_now()

    def _transactions(self) -> Query[GenericTransaction]:
        transaction = self.sibling("transaction")
        query: Query[GenericTransaction] = self.session().query(transaction)
        return query.filter(transaction.wallet_id == self._id())
