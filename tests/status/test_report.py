"""What the status server tells programs."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from status_stage import PAGES, fill_shop

from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app


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
