"""Network transactions as lists; those that carry withdrawals are the broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.ledger.states import NetworkTransactionState, NetworkTransactionType
from cryptoassets_core.names import check_id
from cryptoassets_core.tools.listing.paging import Page, Slice, among, read_page
from cryptoassets_core.tools.listing.search import find_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTransactionRow:
    """What the coin's network carries for us."""

    coin: str
    id: int
    type: NetworkTransactionType
    state: NetworkTransactionState
    txid: str | None
    confirmations: int
    block_hash: str | None
    coinbase: bool
    #: Its confirmations are still followed.
    tracked: bool
    #: Broadcast: the wallet whose withdrawals it carries.
    wallet: int | None
    #: Broadcast: what the network charges, whole coins.
    fee: Decimal | None
    #: Broadcast: attempts that failed since the last success, and when the next one is due.
    attempts: int
    next_attempt_at: datetime | None
    reason: str | None
    created_at: datetime
    opened_at: datetime | None
    closed_at: datetime | None


def list_network_transactions(
    session: Session,
    coin: Coin,
    wanted: Slice,
    *,
    kind: NetworkTransactionType | None = None,
    txid: str | None = None,
) -> Page[NetworkTransactionRow]:
    """Return a page of network transactions.

    :param kind: only deposits, or only broadcasts.
    :param txid: only those whose hash begins so, in the order of the hash and in one page.
    :raises BadSearchError: no hash can begin so, or too many do.
    """
    network = coin.wallet_model.books().network_transaction
    query = select(network.c.id)
    if kind is not None:
        query = query.where(network.c.transaction_type == kind)
    if txid is not None:
        return Page(_rows(session, coin, find_ids(session, [query], network.c.txid, txid.lower(), wanted.limit)), None)
    page = read_page(session, query, network.c.id, wanted, lambda row: int(row[0]), sparse=kind is not None)
    return Page(_rows(session, coin, page.rows), page.beyond)


def get_network_transaction(session: Session, coin: Coin, id_: int) -> NetworkTransactionRow:
    """Return one network transaction.

    :raises UnknownRowError: there is none of that id.
    """
    found = _rows(session, coin, [check_id(id_, f"{coin.name} network transaction")])
    if not found:
        raise UnknownRowError(f"there is no {coin.name} network transaction {id_}")
    return found[0]


def _rows(session: Session, coin: Coin, ids: Sequence[int]) -> list[NetworkTransactionRow]:
    network = coin.wallet_model.books().network_transaction
    rows = session.execute(
        select(
            network.c.id,
            network.c.transaction_type.label("type"),
            network.c.state,
            network.c.txid,
            network.c.confirmations,
            network.c.block_hash,
            network.c.coinbase,
            network.c.tracked,
            network.c.wallet_id.label("wallet"),
            network.c.fee,
            network.c.attempts,
            network.c.next_attempt_at,
            network.c.reason,
            network.c.created_at,
            network.c.opened_at,
            network.c.closed_at,
        ).where(among(network.c.id, ids))
    )
    found = {row.id: NetworkTransactionRow(coin=coin.name, **row._mapping) for row in rows}
    return [found[each] for each in ids if each in found]
