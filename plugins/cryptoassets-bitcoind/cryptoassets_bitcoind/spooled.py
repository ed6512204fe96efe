"""A long answer of ``listsinceblock``, kept in a file: after a long downtime it holds every transaction since.

It is read twice. The first time everything is checked, to its end, so that nothing of an answer that makes no sense is
used; only what the rest of the work needs at once is kept. The second time its transactions are handed out one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby

from cryptoassets_bitcoind import answers, listing
from cryptoassets_bitcoind.answerfile import AnswerFile
from cryptoassets_bitcoind.jsonreader import JsonReader
from cryptoassets_core.backend.base import WalletTransaction
from cryptoassets_core.errors import BackendError


class SpooledListing:
    """The transactions of an answer, read from its file one by one, as often as wanted.

    :ivar waiting: those that wait for a block, see :py:func:`cryptoassets_bitcoind.listing.waits`.
    """

    def __init__(self, file: AnswerFile, reader: JsonReader, *, decimals: int) -> None:
        """Read all of them once.

        :param reader: at the list of rows; it stands behind it afterwards.
        :raises BackendError: a row makes no sense.
        :raises ValueError: it is no JSON.
        """
        self._file = file
        self._decimals = decimals
        self._position = reader.position
        self.waiting = [each.txid for each in _each_once(self._read(reader)) if listing.waits(each)]

    def __iter__(self) -> Iterator[WalletTransaction]:
        return self._read(JsonReader(self._file, position=self._position))

    def _read(self, reader: JsonReader) -> Iterator[WalletTransaction]:
        rows = (answers.mapping(reader.value(), "listsinceblock.transactions") for _ in reader.elements())
        # Daemons go through their wallet transaction by transaction: its rows follow one another. Their help does not
        # promise it, all of them do it. Source: Bitcoin Core since 0.8, Dogecoin Core 1.14, Litecoin Core 0.21,
        # ``listsinceblock`` calls ``ListTransactions`` for each entry of ``mapWallet``.
        for txid, group in groupby(rows, key=listing.txid_of):
            yield listing.from_listing(txid, list(group), decimals=self._decimals)


def _each_once(transactions: Iterable[WalletTransaction]) -> Iterator[WalletTransaction]:
    """Hand on transactions, and see that there are no further rows of one anywhere: an output of it would be lost.

    Which ones there were is kept in a temporary file, as they are as many as the listing is long.

    :raises BackendError: there are.
    """
    with closing(sqlite3.connect("")) as db:
        db.execute("CREATE TABLE listed (txid BLOB PRIMARY KEY) WITHOUT ROWID")
        for each in transactions:
            if not db.execute("INSERT OR IGNORE INTO listed VALUES (?)", (bytes.fromhex(each.txid),)).rowcount:
                raise BackendError(
                    "the daemon's answer makes no sense: listsinceblock.transactions has rows of"
                    f" {each.txid} in two places, and nothing of it is used"
                )
            yield each


def read_replies(file: AnswerFile, *, decimals: int) -> object:
    """Read the replies of a batch, with a :py:class:`SpooledListing` in place of a list of transactions.

    :param decimals: of the coin.
    :raises BackendError: a transaction makes no sense.
    :raises ValueError: it is no JSON.
    """
    reader = JsonReader(file)
    if reader.is_at("["):
        replies: object = [_reply(file, reader, decimals) for _ in reader.elements()]
    else:
        replies = reader.value()
    reader.end()
    return replies


def _reply(file: AnswerFile, reader: JsonReader, decimals: int) -> object:
    if not reader.is_at("{"):
        return reader.value()
    return {
        key: _result(file, reader, decimals) if key == "result" and reader.is_at("{") else reader.value()
        for key in reader.members()
    }


def _result(file: AnswerFile, reader: JsonReader, decimals: int) -> dict[str, object]:
    return {
        key: SpooledListing(file, reader, decimals=decimals)
        if key == "transactions" and reader.is_at("[")
        else reader.value()
        for key in reader.members()
    }
