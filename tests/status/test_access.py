"""Who may look at the status pages, and what nobody can do with them."""

from __future__ import annotations

import base64
import hmac
import re
from pathlib import Path

import pytest
from commands import SECRET
from flask.testing import FlaskClient
from status_stage import PAGES

from cryptoassets_core.app import Subsystem
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.settings import Settings, StatusServerSettings
from cryptoassets_core.validation import validate

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


def test_secrets_are_compared_in_constant_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda given, right: compared.append(right) or compare(given, right))
    settings = StatusServerSettings(user="admin", password=f"{SECRET}-page", token=f"{SECRET}-token-0123456789")
    client = make_wsgi_app(service, settings).test_client()
    # The password also if the user is wrong already.
    for header in ("Bearer x", "Basic " + base64.b64encode(b"x:y").decode()):
        client.get("/api/status", headers={"Authorization": header})
    assert compared == [f"{SECRET}-token-0123456789".encode(), b"admin", f"{SECRET}-page".encode()]


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


def test_pages_without_a_secret_are_for_names_of_this_machine_only(service: Service, client: FlaskClient) -> None:
    """A web site whose name leads here must not read them in somebody's browser."""
    for host in ("localhost", "localhost:18881", "127.0.0.1:18881", "[::1]:18881", "127.9.9.9"):
        assert client.get("/accounts", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:18881", "192.0.2.1", "[", ""):
        for page in (*PAGES, "/api/status", "/metrics", "/nothing"):
            refused = client.get(page, headers={"Host": host})
            assert refused.status_code == 403, (host, page)
            assert refused.text.startswith("These pages are for 127.0.0.1 and localhost as long as")
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 503  # nothing runs
    protected = StatusServerSettings(token=f"{SECRET}-token-0123456789")
    headers = {"Host": "status.example", "Authorization": f"Bearer {SECRET}-token-0123456789"}
    assert make_wsgi_app(service, protected).test_client().get("/accounts", headers=headers).status_code == 200


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
