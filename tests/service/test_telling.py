"""What the daemon tells, and what can be asked of it without running it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from commands import unused_port
from status_stage import HOSTILE as HOSTILE_TEXTS

from cryptoassets_core.app import Subsystem
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app

HOSTILE = HOSTILE_TEXTS[0]


@pytest.fixture
def service(config: dict[str, Any]) -> Iterator[Service]:
    """A daemon that is not started."""
    made = Service(config, tuple(Subsystem), logging=False)
    yield made
    made.app.close()


def import_balance(service: Service, amount: str) -> None:
    def work(session: Any) -> None:
        wallet: GenericWallet = service.app.coins.get("btc").wallet_model.get_or_create_by_name("shop", session)
        wallet.import_balance(wallet.create_account(HOSTILE), Decimal(amount))

    service.app.conflict_resolver.run(work)


def test_json_has_amounts_as_strings_and_times_with_their_zone(service: Service) -> None:
    import_balance(service, "0.00000001")
    service.workers["btc"].health.last_success_at = datetime(2026, 1, 2, tzinfo=UTC)
    answer = make_wsgi_app(service).test_client().get("/api/status")
    assert answer.status_code == 200
    (coin,) = answer.json["coins"]
    assert coin["balance"] == "0.00000001"
    assert coin["last_success_at"] == "2026-01-02T00:00:00+00:00"
    assert (coin["queued"], coin["incoming"], coin["tip"]) == (0, 0, None)


def test_page_shows_amounts_in_fixed_notation(service: Service) -> None:
    import_balance(service, "0.00000001")
    page = make_wsgi_app(service).test_client().get("/")
    assert page.content_type == "text/html; charset=utf-8"
    assert "0.00000001 BTC" in page.text


def test_hostile_texts_are_shown_as_texts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    import_balance(service, "1")
    service.workers["btc"].health.problems["poll"] = HOSTILE
    monkeypatch.setattr(service, "problems", lambda: [f"job {HOSTILE}"])
    monkeypatch.setattr(service, "components", lambda: {f"thread {HOSTILE}": True})
    client = make_wsgi_app(service).test_client()
    page = client.get("/").text
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
    answer = client.get("/api/status")
    assert answer.content_type == "application/json"
    assert answer.json["coins"][0]["problem"] == HOSTILE
    assert answer.json["problems"] == [f"job {HOSTILE}"]


def test_deposit_that_cannot_be_credited_is_a_problem(service: Service) -> None:
    coin = service.app.coins.get("btc")

    def refuse(session: Any) -> None:
        deposit, _ = coin.network_transaction_model.get_or_create_deposit(session, "ab" * 32)
        deposit.reason = HOSTILE

    service.app.conflict_resolver.run(refuse)
    client = make_wsgi_app(service).test_client()
    (problem,) = client.get("/api/status").json["problems"]
    assert problem == f"btc: {'ab' * 32} pays what is not credited: {HOSTILE}"
    assert "<script" not in client.get("/").text


def test_status_is_told_while_the_database_cannot_be_asked(service: Service) -> None:
    assert service.app.engine is not None
    with service.app.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE btc_account RENAME TO elsewhere")
    client = make_wsgi_app(service).test_client()
    told = client.get("/api/status").json
    assert told["healthy"] is False
    assert told["coins"][0]["balance"] is None
    assert told["problems"] == ["the database cannot be asked: no such table: btc_account"]
    assert "the database cannot be asked" in client.get("/").text


def test_health_check_fails_when_a_component_is_dead(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_wsgi_app(service).test_client()
    for alive, status in ((True, 200), (False, 503)):
        monkeypatch.setattr(service, "components", lambda alive=alive: {"scheduler": alive})
        answer = client.get("/healthz")
        assert (answer.status_code, answer.json) == (status, {"alive": alive})


def test_service_of_the_manual_can_be_asked_for_single_tasks(service: Service) -> None:
    """H02, H04, H05: without being a daemon, and beside one that is somewhere else."""
    assert list(service.incoming_transaction_runnables) == ["btc"]
    assert service.broadcast_period == 0.2
    assert service.poll_network_transaction_confirmations() == 1
    assert service.workers["btc"].health.last_success_at is not None
    service.poll_broadcast()
    assert service.workers["btc"].health.problem is None


def test_daemon_without_a_coin_that_has_a_backend_is_refused(config: dict[str, Any]) -> None:
    config["coins"]["btc"]["backend"] = None
    service = Service(config, tuple(Subsystem), logging=False)
    with pytest.raises(ConfigurationError, match=r"^coins: no coin has a backend"):
        service.start()
    service.app.close()


def test_service_inside_an_application_stops_when_asked(config: dict[str, Any]) -> None:
    config["status_server"] = {"port": unused_port()}
    service = Service(config, tuple(Subsystem), logging=False)
    service.scheduler.add_job(service.stop)
    assert service.start() == 0
