"""The status pages: what they show, to whom, and what nobody can do with them."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from commands import SECRET
from flask.testing import FlaskClient
from kit import txid
from sqlalchemy.orm import Session
from status_stage import HOSTILE, LISTS, PAGES, fill_shop, opened_service, story_pages, words

from cryptoassets_core.app import Subsystem
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.settings import Settings, StatusServerSettings
from cryptoassets_core.statuspanel import StatusPanel
from cryptoassets_core.validation import validate


@pytest.fixture
def service(books_url: str, tmp_path: Path) -> Iterator[Service]:
    """A daemon over empty books, on each kind of database in turn."""
    with opened_service(books_url, tmp_path) as service:
        yield service


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return make_wsgi_app(service).test_client()


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


# --- Who may look -----------------------------------------------------------------------------------------------------


def test_secret_is_asked_for_where_one_is_set(service: Service) -> None:
    settings = StatusServerSettings(user="admin", password=f"{SECRET}-page", token=f"{SECRET}-token-0123456789")
    client = make_wsgi_app(service, settings).test_client()

    def asked(header: str | None) -> int:
        return client.get("/api/status", headers={"Authorization": header} if header else {}).status_code

    def basic(user: str, password: str) -> str:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    assert asked(basic("admin", f"{SECRET}-page")) == 200
    assert asked(f"Bearer {SECRET}-token-0123456789") == 200
    for wrong in (
        None,
        basic("admin", "x"),
        basic("x", f"{SECRET}-page"),
        basic("admin", ""),
        basic("", ""),
        "Basic %%%",
        "Bearer x",
        "Bearer ",
        f"Bearer {SECRET}-page",
        f"Digest {SECRET}",
        "Bearer \xff",
    ):
        assert asked(wrong) == 401, wrong
    for path in [*PAGES, "/metrics", "/static/status.css", "/nothing"]:
        refused = client.get(path)
        assert refused.status_code == 401, path
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert client.get("/healthz").status_code == 503  # nothing runs; and no secret is asked for
    assert client.get("/readyz").status_code == 503


def test_other_machines_are_let_in_with_a_secret_only() -> None:
    for ip in ("0.0.0.0", "::", "192.0.2.1", "status.example"):
        config = {"database": {"url": "sqlite://"}, "status_server": {"ip": ip}}
        with pytest.raises(
            ConfigurationError, match=r"^status_server: ip lets other machines in.*set user and password"
        ):
            validate(Settings, config)
        validate(Settings, config | {"status_server": {"ip": ip, "token": f"{SECRET}-token-0123456789"}})
    for ip in ("127.0.0.1", "::1", "127.8.9.1", "localhost"):
        StatusServerSettings(ip=ip)


def test_half_a_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^status_server: user and password belong together"):
        validate(Settings, {"database": {"url": "sqlite://"}, "status_server": {"user": "admin"}})


# --- Behind a proxy ---------------------------------------------------------------------------------------------------


HEADERS = ("X-Forwarded-Prefix", "X-Status-Server-Location")

#: What is no plain path, and would lead our links elsewhere or end them.
NO_PREFIX = [
    '/"><script>alert(1)</script>',
    "//evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/a/../..",
    "/a b",
    "/a\\b",
    "/a?b",
    "/" + "a" * 5000,
    "/{{7*7}}",
]


def test_links_have_the_prefix_of_the_proxy(client: FlaskClient) -> None:
    for header in HEADERS:
        page = client.get("/accounts", headers={header: "/tools/coins/"}).text
        links = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', page)
        assert links
        assert all(link.startswith("/tools/coins/") for link in links)


def test_prefix_that_is_no_plain_path_is_ignored(client: FlaskClient) -> None:
    for header in HEADERS:
        for prefix in NO_PREFIX:
            answer = client.get("/accounts", headers={header: prefix})
            assert 'action="/accounts"' in answer.text, prefix
            assert "evil.example" not in answer.text
            assert "<script" not in answer.text


# --- What pages are allowed to do -------------------------------------------------------------------------------------


def test_pages_load_nothing_from_elsewhere_and_run_nothing(client: FlaskClient) -> None:
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert " style=" not in answer.text


# --- Panels of plugins ------------------------------------------------------------------------------------------------


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


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_secrets_of_the_configuration_are_shown_nowhere(
    sqlite_books: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """F36 of the checklist."""
    config = {
        "database": {"url": f"sqlite:///{sqlite_books}"},
        "coins": {
            "btc": {
                "network": "regtest",
                "backend": {"name": "bitcoind", "url": f"http://rpc:{SECRET}-rpc@127.0.0.1:9/wallet/x"},
            }
        },
        "events": {"shop": {"name": "http", "url": f"http://shop:{SECRET}-sink@127.0.0.1:9/"}},
        "status_server": {"user": "admin", "password": f"{SECRET}-page", "token": f"{SECRET}-token-0123456789"},
    }
    service = Service(config, tuple(Subsystem), logging=False)
    service.workers["btc"].poll()
    app = make_wsgi_app(service, service.app.status_server)
    client = app.test_client()
    paths = [*PAGES, "/api/status", "/metrics", "/healthz", "/readyz", "/nothing", "/accounts?coin=x"]
    for path in paths:
        answer = client.get(path, headers={"Authorization": f"Bearer {SECRET}-token-0123456789"})
        assert answer.status_code != 401
        assert SECRET not in answer.text, path
        assert SECRET not in client.get(path).text, path
    assert service.workers["btc"].health.problem  # the backend is away, and that was shown
    assert SECRET not in caplog.text
    assert SECRET not in repr(service.app.status_server)
    service.app.close()


# --- For programs -----------------------------------------------------------------------------------------------------


def test_metrics_tell_the_report_with_labels_of_the_configuration_only(service: Service, client: FlaskClient) -> None:
    fill_shop(service)
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain; version=")
    assert 'cryptoassets_accounts_balance_coins{coin="btc"} 11.4' in answer.text
    assert 'cryptoassets_withdrawals_queued{coin="btc"} 1.0' in answer.text
    assert 'cryptoassets_events_pending{sink="shop"} 2.0' in answer.text
    assert "cryptoassets_healthy 0.0" in answer.text
    labels = set(re.findall(r"\{(\w+)=", answer.text))
    assert labels == {"coin", "sink", "component", "version"}
    assert len(answer.text.splitlines()) < 100


def test_two_servers_in_one_process_have_metrics_of_their_own(service: Service) -> None:
    for app in (make_wsgi_app(service), make_wsgi_app(service)):
        assert app.test_client().get("/metrics").status_code == 200


def test_report_tells_sinks_hot_wallet_and_queues(service: Service, client: FlaskClient) -> None:
    fill_shop(service)
    told = client.get("/api/status").json
    (coin,), (sink,) = told["coins"], told["sinks"]
    assert (coin["balance"], coin["queued"], coin["incoming"], coin["unsettled"]) == ("11.40000000", 1, 0, 0)
    assert coin["hot_wallet"] is None  # no page asks the backend
    assert (sink["name"], sink["pending"], sink["dead"]) == ("shop", 2, 0)


def test_hot_wallet_is_asked_in_the_background_only(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = service.app.coins.get("btc").backend
    assert backend is not None
    asked = []
    monkeypatch.setattr(backend, "get_backend_balance", lambda: asked.append(1) or Decimal(5))
    service.start_status_server()
    assert service.status_server is not None
    try:
        service.status_server.figures.refresh()
        assert len(asked) == 1
        client = make_wsgi_app(service, None, service.status_server.figures).test_client()
        for path in PAGES:
            client.get(path)
        assert client.get("/api/status").json["coins"][0]["hot_wallet"] == "5"
        assert len(asked) == 1
    finally:
        service.status_server.stop()


def test_lists_are_named_as_in_2015() -> None:
    assert {"accounts", "addresses", "transactions", "wallets", "network_transactions"} <= set(LISTS)
