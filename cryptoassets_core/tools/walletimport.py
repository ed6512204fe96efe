"""Enter coins that the backend's wallet held before the books began, or that its owner topped it up with."""

from __future__ import annotations

from decimal import Decimal

from cryptoassets_core.amounts import exactly
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.backend.syncstate import take_turn
from cryptoassets_core.errors import BackendUnavailableError, LedgerError
from cryptoassets_core.models import GenericAccount, GenericTransaction, GenericWallet
from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.tools.reconciliation import PAST_ACCOUNTS, Reconciliation

#: The label of an import.
LABEL = "unaccounted balance"


def create_import_transaction(amount: Decimal, account: GenericAccount) -> GenericTransaction:
    """Credit coins of which nobody knows whose they are to an account; for a managed transaction.

    :param amount: whole coins.
    :raises InvalidAmountError: it is no amount that can be credited.
    """
    return account.wallet.import_balance(account, amount, LABEL)


@exactly
def importable(found: Reconciliation) -> Decimal:
    """Return the whole coins that may be imported: what the backend holds beyond what the books of its coin explain.

    The accounts of all wallets of the coin count, and all that is on its way. What pays an account's address never
    counts, whether the books have it yet or not: it is credited as a deposit. Top-ups count when they are as deep as
    deposits must be.

    :returns: 0 if there is nothing to import.
    :raises LedgerError: the backend holds less than the books say.
    :raises BackendUnavailableError: it changed while it was looked at.
    """
    if found.moved:
        raise BackendUnavailableError(
            f"the {found.coin} backend received or sent coins while it was looked at; ask again"
        )
    if found.difference < 0:
        raise LedgerError(
            f"the {found.coin} backend holds {-found.difference:f} {found.coin.upper()} less than the books say, so "
            "there is nothing to import; cryptoassets reconcile names the cause"
        )
    # What is lost is not there to be given away, and what is there beyond all that can be named may be anybody's.
    lost = [each.amount for each in found.differences if each.amount < 0 and each.cause not in PAST_ACCOUNTS]
    return max(found.not_imported + sum(lost, min(found.unexplained, Decimal(0))), Decimal(0))


def get_unaccounted_balance(backend: CoinBackend, wallet: GenericWallet) -> Decimal:
    """Look at books and backend, and return what may be imported; see :py:func:`importable`.

    :raises BackendError: the backend cannot tell.
    """
    session = wallet.session()
    session.flush()  # an address that was just entered counts
    return importable(reconcile(session, wallet.configured_coin(), backend))


def has_unaccounted_balance(backend: CoinBackend, wallet: GenericWallet) -> bool:
    """Tell whether there is something to import; see :py:func:`importable`."""
    return get_unaccounted_balance(backend, wallet) > 0


def import_unaccounted_balance(
    backend: CoinBackend, wallet: GenericWallet, account: GenericAccount, *, expected: Decimal | None = None
) -> GenericTransaction | None:
    """Credit to an account what the backend holds beyond the books; for a managed transaction.

    Repeating it is harmless: what is imported is explained.

    :param account: one of the wallet's.
    :param expected: whole coins that somebody has agreed to; another amount is not imported then.
    :returns: the import; None if there is nothing to import.
    :raises LedgerError: the backend holds less than the books say, or there is not what was expected.
    :raises BackendError: the backend cannot tell.
    """
    # Of two imports at once the second must see what the first has entered.
    take_turn(wallet.session(), wallet.books())
    amount = get_unaccounted_balance(backend, wallet)
    if expected is not None and amount != expected:
        raise LedgerError(
            f"{amount:f} {wallet.coin.symbol.upper()} can be imported now and not {expected:f}; nothing was imported"
        )
    if amount == 0:
        return None
    return wallet.import_balance(account, amount, LABEL)
