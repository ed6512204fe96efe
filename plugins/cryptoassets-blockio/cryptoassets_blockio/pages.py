"""The service's listings, page by page from the newest on, whatever its cursors do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from cryptoassets_blockio import answers
from cryptoassets_blockio.client import BlockIoClient
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.coin.description import AddressRules
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import BackendError, BackendUnavailableError, BadAddress

logger = logging.getLogger(__name__)

Kind = Literal["received", "sent"]


@dataclass(frozen=True, slots=True)
class Item:
    """One transaction of a listing."""

    txid: Txid
    confirmations: int
    #: When the service saw it, in seconds since 1970.
    time: int
    #: Addresses in canonical form and whole coins; one address may be there twice.
    amounts: tuple[tuple[str, Decimal], ...]
    #: Addresses that the coins came from, in canonical form.
    senders: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pages:
    """Reads listings of one account."""

    client: BlockIoClient
    rules: AddressRules
    decimals: int

    def walk(self, kind: Kind) -> Iterator[list[Item]]:
        """List transactions newest first; each page has at least one that was not on the pages before.

        :raises BackendUnavailableError: the service repeats itself, so that what is older cannot be seen.
        """
        # Compact, as there may be all the wallet's life of them; the items themselves are nobody's here.
        seen: set[bytes] = set()
        cursor: Txid | None = None
        while True:
            page = self._page(kind, cursor)
            fresh = [item for item in page if bytes.fromhex(item.txid) not in seen]
            if not fresh:
                # A page may end with its own cursor. Anything else that was there before is not the end of the list,
                # and to take it for one would leave deposits out.
                if all(item.txid == cursor for item in page):
                    return
                raise BackendUnavailableError(
                    f"block.io repeats a page of its {kind} transactions in place of the next one; it is asked again"
                )
            seen.update(bytes.fromhex(item.txid) for item in fresh)
            yield fresh
            cursor = fresh[-1].txid

    def _page(self, kind: Kind, cursor: Txid | None) -> list[Item]:
        parameters = {} if cursor is None else {"before_tx": cursor}
        data = self.client.call("get_transactions", type=kind, **parameters)
        page = [self._item(row, kind) for row in answers.mappings(data.get("txs"), "txs")]
        if len({item.txid for item in page}) < len(page):
            raise BackendError(f"block.io's answer makes no sense: it lists a {kind} transaction twice on one page")
        return page

    def _item(self, row: answers.Row, kind: Kind) -> Item:
        txid = answers.txid(row.get("txid"), "a listed txid")
        amounts = answers.mappings(row.get(f"amounts_{kind}"), f"amounts_{kind}")
        return Item(
            txid=txid,
            confirmations=answers.confirmations(row.get("confirmations"), "listed confirmations"),
            time=answers.integer(row.get("time"), "a listed time"),
            amounts=tuple(
                (recipient, answers.amount(each.get("amount"), "a listed amount", decimals=self.decimals))
                for each in amounts
                if (recipient := self.canonical(each.get("recipient"))) is not None
            ),
            senders=frozenset(
                sender
                for each in answers.texts(row.get("senders", []), "senders")
                if (sender := self.canonical(each)) is not None
            ),
        )

    def canonical(self, address: object) -> str | None:
        """Return an address as the books have it; None if it is none of this network, which may pay in any way."""
        try:
            return canonical_address(address, self.rules)  # type: ignore[arg-type]  # it refuses what is no text
        except BadAddress:
            return None
