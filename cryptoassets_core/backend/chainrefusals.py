"""What the chain pays us and the books cannot take: told once, shown while it is followed, in nobody's way.

Such a thing is no amount at all, was reported as another amount before, or is more than an account can hold. A person
has to look at it; all others are followed on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.event.events import NewEvent, deposit_refused
from cryptoassets_core.ledger.states import NetworkTransactionType

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A payment to one of our addresses that is not booked or not credited."""

    network_transaction_id: int
    address_id: int
    #: For the operator.
    reason: str
    #: What is told of a deposit that is disputed; None where there is no deposit because nothing could be booked.
    event: NewEvent | None = None


def note_refusals(
    session: Session, coin: Coin, looked_at: Iterable[Any], refusals: Sequence[Refusal]
) -> list[NewEvent]:
    """Write down why network transactions are not booked or not credited, or that they are by now.

    :param looked_at: incoming network transactions as they were, each with ``id``, ``txid`` and ``reason``.
    :returns: events about what was not refused before, or for another reason.
    """
    network = coin.wallet_model.books().network_transaction
    of_entry: dict[int, list[Refusal]] = {}
    for refusal in refusals:
        of_entry.setdefault(refusal.network_transaction_id, []).append(refusal)
    events: list[NewEvent] = []
    for entry in looked_at:
        mine = of_entry.get(entry.id, [])
        reason = "; ".join(refusal.reason for refusal in mine) or None
        if reason != entry.reason:
            session.execute(update(network).where(network.c.id == entry.id).values(reason=reason))
            for refusal in mine:
                logger.error("%s: %s pays what is not credited, look at it: %s", coin.name, entry.txid, refusal.reason)
            events.extend(refusal.event or _refused(session, coin, entry, refusal) for refusal in mine)
    return events


def _refused(session: Session, coin: Coin, entry: Any, refusal: Refusal) -> NewEvent:
    address = coin.wallet_model.books().address
    paid = session.execute(
        select(address.c.address, address.c.account_id).where(address.c.id == refusal.address_id)
    ).one()
    return deposit_refused(
        coin_name=coin.name,
        network_transaction=entry.id,
        txid=entry.txid,
        account=paid.account_id,
        address=paid.address,
        reason=refusal.reason,
    )


def refused_deposits(session: Session, coin: Coin) -> list[str]:
    """Return a sentence about each incoming network transaction that is followed and not wholly credited."""
    network = coin.wallet_model.books().network_transaction
    rows = session.execute(
        select(network.c.txid, network.c.reason)
        .where(
            network.c.tracked,
            network.c.transaction_type == NetworkTransactionType.DEPOSIT,
            network.c.reason.is_not(None),
        )
        .order_by(network.c.id)
    )
    return [f"{row.txid} pays what is not credited: {row.reason}" for row in rows]
