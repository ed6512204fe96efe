"""The status pages: what they show, and what hostile names do to them."""

from __future__ import annotations

import html
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from commands import SECRET
from flask.testing import FlaskClient
from kit import txid
from sqlalchemy.orm import Session
from status_stage import HOSTILE, LISTS, PAGES, fill_shop, opened_service, story_pages, words

from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.statuspanel import StatusPanel


def test_every_page_is_there_for_empty_books(client: FlaskClient) -> None:
    for page in PAGES:
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert answer.content_type == "text/html; charset=utf-8"


def test_hostile_texts_are_texts_on_every_page(service: Service, client: FlaskClient) -> None:
    ids = fill_shop(service)
    shown = ""
    for path in [*PAGES, *story_pages(ids)]:
        answer = client.get(path)
        assert answer.status_code == 200, path
        tags = re.findall(r"<([a-z0-9]+)[\s>]", answer.text)
        assert "script" not in tags, path
        assert tags.count("img") == 1, path  # ours, in the head of the page
        assert " onerror" not in " ".join(re.findall(r"<[^>]*>", answer.text)), path
        assert not re.search(r'(href|src|action)="(?!/)[^#"]', answer.text), path  # no link leads elsewhere
        assert "\u202e" not in answer.text, path
        shown += html.unescape(answer.text)
    for text in HOSTILE[:4]:
        assert f"<bdi>{text}</bdi>" in shown
    assert r"\u202egnp.exe" in shown
    assert "x" * 201 not in shown  # long texts are cut
    assert "x" * 200 + "…" in shown


def test_deposits_story_is_told_on_one_page(service: Service, client: FlaskClient) -> None:
    ids = fill_shop(service)
    told = words(html.unescape(client.get(f"/transactions/btc/{ids['deposit']}").text))
    assert "Seen on the network" in told
    assert "3, and 3 are needed" in told
    assert "+1.50000000" in told
    assert txid("deposit") in told
    assert "0 of 1 deliveries, 1 events" in told
    assert "txupdate" in told


def test_story_of_a_too_small_deposit_says_why_it_is_not_credited(service: Service, client: FlaskClient) -> None:
    service.app.coins.get("btc").min_deposit = Decimal(2)
    ids = fill_shop(service)
    told = words(html.unescape(client.get(f"/transactions/btc/{ids['deposit']}").text))
    assert "below_minimum" in told
    assert "it was below the coin's min_deposit" in told
    assert "are needed" not in told
    assert "below_minimum" in client.get("/transactions?state=below_minimum").text


def test_withdrawals_story_tells_reservation_refund_and_that_it_waits(service: Service, client: FlaskClient) -> None:
    ids = fill_shop(service)
    waiting = words(client.get(f"/transactions/btc/{ids['withdrawal']}").text)
    assert "Asked for, and its coins reserved" in waiting
    assert "waits for the broadcaster" in waiting
    assert "-0.10000000" in waiting
    cancelled = words(client.get(f"/transactions/btc/{ids['cancelled']}").text)
    assert "Answered by" in cancelled
    assert "refund" in cancelled


def test_lists_find_what_is_looked_for(service: Service, client: FlaskClient) -> None:
    ids = fill_shop(service)
    deposit = f"/transactions/btc/{ids['deposit']}"
    for query, found in (
        (f"/transactions?txid={txid('deposit')[:10]}", True),
        (f"/transactions?txid={txid('deposit').upper()}", True),
        (f"/transactions?txid={txid('another')}", False),
        ("/transactions?kind=deposit", True),
        ("/transactions?kind=withdrawal", False),
        ("/transactions?state=open", False),
    ):
        assert (f'href="{deposit}"' in client.get(query).text) is found, query
    assert f'href="/transactions/btc/{ids["withdrawal"]}"' in client.get("/transactions?state=open").text
    assert (
        f'href="/network_transactions/btc/{ids["network"]}"'
        in client.get(f"/network_transactions?txid={txid('deposit')[:4]}").text
    )
    assert "gnp.exe" in client.get("/accounts?name=%E2%80%AEgnp.exe").text
    assert "There is no such account" in client.get("/accounts?name=nobody").text


def test_list_goes_on_page_by_page_and_both_ways(service: Service, client: FlaskClient) -> None:
    coin = service.app.coins.get("btc")

    def make(session: Session) -> None:
        wallet = coin.wallet_model.get_or_create_by_name("shop", session)
        for number in range(120):
            wallet.create_account(f"account {number:03}")

    service.app.conflict_resolver.run(make)
    for order, step in (("", -1), ("&order=oldest", 1)):
        path: str | None = f"/accounts?coin=btc{order}"
        names: list[str] = []
        while path:
            page = client.get(path).text
            names += re.findall(r">(?:<bdi>)(account \d+)<", page)
            following = re.search(r'href="([^"]+)" rel="next"', page)
            path = html.unescape(following[1]) if following else None
        assert names == [f"account {number:03}" for number in range(120)][::step]


#: Addresses of pages that nobody who means well asks for.
NONSENSE = [
    "/accounts?wallet=x",
    "/accounts?wallet=-1",
    "/accounts?beyond=99999999999999999999",
    "/accounts?beyond=0",
    "/transactions?kind=gift",
    "/transactions?txid=ab",
    "/transactions?txid=%25%25%25%25%25",
    "/transactions?address=a%00b",
    f"/events?name={'x' * 300}",
    "/accounts?coin=nothing",
    "/accounts/nothing/1",
    "/accounts/btc/999999",
    "/transactions/btc/99999999999999999999999",
    "/events/99",
    "/nothing",
    "/static/../server.py",
]


def test_what_makes_no_sense_is_refused_in_a_sentence(client: FlaskClient) -> None:
    for query in NONSENSE:
        answer = client.get(query)
        assert answer.status_code in (400, 404), query
        assert "This did not work" in answer.text
        assert "Traceback" not in answer.text


def test_pages_cannot_be_posted_to(client: FlaskClient) -> None:
    assert client.post("/accounts", data={"name": "x"}).status_code == 405


def test_lists_are_named_as_in_2015() -> None:
    assert {"accounts", "addresses", "transactions", "wallets", "network_transactions"} <= set(LISTS)


# --- Panels of plugins ------------------------------------------------------------------------------------------


class ShopPlugin:
    """A plugin of an application."""

    @hookimpl
    def cryptoassets_status_panels(self) -> list[Any]:
        def broken(_: Session) -> dict[str, Any]:
            raise RuntimeError(f"{SECRET}-of-a-plugin")

        return [
            StatusPanel("Orders", lambda _: {"open": 7, "sum": Decimal("0.00000001"), "<b>x</b>": "<i>y</i>"}),
            StatusPanel("Stock", broken),
            "no panel",
        ]


class BrokenPlugin:
    """A plugin that fails at once."""

    @hookimpl
    def cryptoassets_status_panels(self) -> list[Any]:
        raise RuntimeError(f"{SECRET}-of-a-plugin")


def test_panels_are_shown_and_broken_ones_disturb_nobody(books_url: str, tmp_path: Path) -> None:
    with opened_service(books_url, tmp_path, plugins=[BrokenPlugin(), ShopPlugin()]) as service:
        page = make_wsgi_app(service).test_client().get("/").text
    assert "0.00000001" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert page.count("failed with RuntimeError; the log has the details") == 2
    assert "failed with TypeError" in page
    assert SECRET not in page
