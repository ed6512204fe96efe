"""What strangers send to the daemon's notification channel."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import requests
from commands import Daemon, daemon, eventually, simnet_config, unused_port

from cryptoassets_btc import BITCOIN
from cryptoassets_simnet import Simnet

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "body", [b"", b"txid=", b"txid=" + b"0" * 63, b"txid=" + b"x" * 64, b"txid=\xff\x00", b"{}", b"txid=%s&txid=%s"]
)
def test_junk_for_walletnotify_is_answered_4xx_and_changes_nothing(
    body: bytes, noticing: tuple[Daemon, int, Path]
) -> None:
    running, port, books = noticing
    before = rows(books)
    with pytest.raises(HTTPError) as refused:
        urlopen(f"http://127.0.0.1:{port}/", data=body)
    assert 400 <= refused.value.code < 500
    refused.value.close()
    assert running.status()["coins"][0]["last_wallet_notify"] is None
    assert running.status()["healthy"]
    assert rows(books) == before


def test_good_notification_is_looked_at_after_all_the_junk(noticing: tuple[Daemon, int, Path]) -> None:
    """F29."""
    running, port, books = noticing
    for body in (b"", b"txid=" + b"x" * 100_000, b"txid=\xff\xfe", b"txid=" + b"0" * 64, b"\x00" * 300_000):
        assert requests.post(f"http://127.0.0.1:{port}/", data=body, headers=FORM, timeout=30).status_code < 500
    with Simnet(books.with_name("chain.simnet"), BITCOIN) as simnet:
        txid = simnet.pay(simnet.create_address(), Decimal(1))
    before = running.status()["coins"][0]["last_wallet_notify"]
    urlopen(f"http://127.0.0.1:{port}/", data=f"txid={txid}".encode()).close()
    eventually(lambda: running.status()["coins"][0]["last_wallet_notify"] != before)
    eventually(lambda: running.status()["healthy"])
    assert all(line.isprintable() for line in running.log.splitlines())


@pytest.fixture(scope="module")
def noticing(tmp_path_factory: pytest.TempPathFactory, sqlite_books: Path) -> Iterator[tuple[Daemon, int, Path]]:
    """A daemon that takes notifications over HTTP, the port, and its books."""
    directory, port = tmp_path_factory.mktemp("noticing"), unused_port()
    config = simnet_config(directory)
    config["coins"]["btc"]["backend"]["walletnotify"] = {"name": "http", "port": port}
    shutil.copy(sqlite_books, directory / "books.sqlite")
    with daemon(config, directory) as running:
        running.ready()
        running.logs("caught up with the chain")
        yield running, port, directory / "books.sqlite"


def rows(books: Path) -> list[str]:
    """Return all that a database holds."""
    with closing(sqlite3.connect(books)) as connection:
        return list(connection.iterdump())
