"""Bring the confirmation counts of open network transactions up to date."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.ledger.states import NetworkTransactionType
from cryptoassets_core.models import GenericNetworkTransaction


def get_open_network_transactions(
    session: Session,
    NetworkTransaction: type[GenericNetworkTransaction],  # noqa: N803 - a class, named like one in 2015
    confirmation_threshold: int,
) -> Sequence[tuple[NetworkTransactionType, Txid]]:
    """List the network transactions that are followed and have fewer confirmations, oldest first.

    Those in conflict with the chain are among them, as they may come back. Those that the network does not know yet
    belong to the broadcaster.

    :returns: type and txid of each; a payment to ourselves is there once as a deposit and once as a broadcast.
    """
    network = NetworkTransaction.books().network_transaction
    rows = session.execute(
        select(network.c.transaction_type, network.c.txid)
        .where(network.c.tracked, network.c.confirmations < confirmation_threshold)
        .order_by(network.c.id)
    )
    return [(row.transaction_type, Txid(row.txid)) for row in rows]


def update_confirmations(transaction_updater: TransactionUpdater, confirmation_threshold: int) -> int:
    """Bring all open network transactions up to date, and whatever else changed with them.

    The number of calls to the backend does not grow with what is open, and there is none when nothing is.

    :param confirmation_threshold: network transactions with fewer confirmations than this are open.
    :returns: how many txupdate events were written.
    :raises BackendError: the backend cannot tell.
    """
    model = transaction_updater.coin.network_transaction_model
    is_open = transaction_updater.conflict_resolver.run(
        lambda session: bool(get_open_network_transactions(session, model, confirmation_threshold))
    )
    return transaction_updater.follow() if is_open else 0
