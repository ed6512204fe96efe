"""The plugin as users meet it: configurations, old and new, and the command that checks them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.cli import blockio_group
from cryptoassets_blockio.testing import Account, Fault, StandIn, fund
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.base import Network
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import BackendError, BackendRejectedError, ConfigurationError

KEY, PIN = "planted-key-0f3a", "planted-pin-5b7c"
OLD = "cryptoassets.core.backend"


def configured(coin: str, backend: dict[str, Any], **settings: Any) -> CryptoAssetsApp:
    app = CryptoAssetsApp()
    coins = {coin: {"backend": backend, **settings}}
    Configurator(app).load_from_dict({"database": {"url": "sqlite://"}, "coins": coins})
    return app


@pytest.mark.parametrize(
    ("coin", "named", "network"),
    [("btc", "btctest", "test"), ("doge", "dogetest", "test"), ("ltc", "LTC", "main"), ("doge", "doge", "main")],
)
@pytest.mark.parametrize("secret", ["pin", "password"])
@pytest.mark.parametrize(
    "channel", ["blockiowebsocket.BlockIoWebsocketNotifyHandler", "blockiowebhook.BlockIoWebhookNotifyHandler"]
)
def test_configuration_of_2015_loads_unchanged(
    coin: str, named: str, network: Network, secret: str, channel: str
) -> None:
    walletnotify = {"class": f"{OLD}.{channel}"}
    if "webhook" in channel:
        walletnotify["url"] = "https://shop.example/blockio/0f3a5b7c9d1e2f40"
    app = configured(
        coin,
        {
            "class": f"{OLD}.blockio.BlockIo",
            "api_key": KEY,
            secret: PIN,
            "network": named,
            "walletnotify": walletnotify,
        },
    )
    backend = app.coins.get(coin).backend
    assert isinstance(backend, BlockIoBackend)
    assert (backend.network, backend.service_network) == (network, named.upper())
    assert backend.options.pin is not None
    assert backend.options.pin.get_secret_value() == PIN
    assert app.walletnotify[coin].type.name == ("blockio_webhook" if "webhook" in channel else "blockio_websocket")


def test_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOCKIO_KEY", KEY)
    app = configured("btc", {"name": "blockio", "api_key": "${BLOCKIO_KEY}"}, network="test")
    backend: Any = app.coins.get("btc").backend
    assert backend.options.api_key.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("coin", "options", "settings", "said"),
    [
        ("btc", {"network": "btc"}, {"network": "test"}, "correct one of the two"),
        ("btc", {"network": "dogetest"}, {}, "correct one of the two"),
        ("btc", {}, {"network": "regtest"}, "does not serve btc on the network 'regtest'"),
        ("doge", {"address_type": "WITNESS_V0"}, {}, "has no segwit"),
        ("btc", {"url": "http://block.io"}, {}, "must begin with https://"),
        ("btc", {"network": "btctset"}, {}, "coins.btc.backend.network"),
        ("btc", {"api_kee": "x"}, {}, "did you mean 'api_key'"),
        ("btc", {"max_fee_rate": -1}, {}, "coins.btc.backend.max_fee_rate"),
        ("aby", {}, {}, "does not serve aby"),
    ],
)
def test_impossible_configuration_is_refused_in_one_sentence_without_secrets(
    coin: str, options: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(coin, {"name": "blockio", "api_key": KEY, "pin": PIN, **options}, **settings)
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert PIN not in str(caught.value)


def test_key_of_another_network_stops_the_start(service: StandIn, btc: Account, make_backend: Any) -> None:
    """The service has no argument for it: the key decides which network is used."""
    other = service.open_account(btc.coin, "main")
    with pytest.raises(BackendRejectedError, match="belongs to the network 'BTC', but btc is configured for 'BTCTEST'"):
        make_backend(btc, api_key=other.api_key).check()


@pytest.mark.parametrize("answer", [{}, {"network": None}, {"network": 7}, {"network": ""}])
def test_service_of_another_generation_stops_the_start_in_one_sentence(
    btc: Account, make_backend: Any, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    """F22."""
    backend = make_backend(btc)
    monkeypatch.setattr(backend.client, "call_for", lambda method, **parameters: answer)
    with pytest.raises(BackendError, match="answer makes no sense: get_balance"):
        backend.check()


# --- cryptoassets blockio check -----------------------------------------------------------------------------


def check(directory: Path, service: StandIn, account: Account, *flags: str, **options: Any) -> Result:
    channel = options.pop("walletnotify", {"name": "blockio_websocket", "url": service.websocket_url})
    backend = {"name": "blockio", "api_key": account.api_key, "pin": account.pin, "url": service.url, **options}
    coins = {account.coin.symbol: {"network": account.network, "backend": {**backend, "walletnotify": channel}}}
    path = directory / "config.yaml"
    path.write_text(json.dumps({"database": {"url": f"sqlite:///{directory}/books"}, "coins": coins}))
    return CliRunner().invoke(blockio_group, ["check", str(path), *flags])


def verdicts(result: Result) -> dict[str, str]:
    rows = [json.loads(line) for line in result.output.splitlines()]
    return {row["what"]: row["verdict"] for row in rows}


ALL = ("key and network", "balance", "PIN", "fee limits", "notifications")


def test_check_tells_that_all_is_right_and_moves_nothing(account: Account, service: StandIn, tmp_path: Path) -> None:
    fund(account, account.coin.dust * 1000)
    result = check(tmp_path, service, account, "--json")
    assert (result.exit_code, verdicts(result)) == (0, dict.fromkeys(ALL, "right"))
    assert account.submitted == {}
    assert service.calls["get_new_address"] == service.calls["create_notification"] == 0
    table = check(tmp_path, service, account)
    assert all(what in table.output for what in ALL)
    assert account.api_key not in table.output
    assert account.pin not in table.output


def test_check_of_an_empty_wallet_leaves_open_what_it_cannot_tell(
    btc: Account, service: StandIn, tmp_path: Path
) -> None:
    result = check(tmp_path, service, btc, "--json", walletnotify={"name": "http"})
    open_ones = {"PIN", "fee limits", "notifications"}
    assert (result.exit_code, verdicts(result)) == (0, {what: "open" if what in open_ones else "right" for what in ALL})


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"pin": "another"}, {"PIN"}),
        ({"max_fee_rate": "0.0000001"}, {"fee limits"}),
        ({"walletnotify": {"name": "blockio_websocket", "url": "ws://127.0.0.1:1/"}}, {"notifications"}),
    ],
)
def test_check_names_each_fault(
    btc: Account, service: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, wrong: set[str]
) -> None:
    monkeypatch.setattr("cryptoassets_blockio.websocket.START_SECONDS", 0.1)
    fund(btc, btc.coin.dust * 1000)
    result = check(tmp_path, service, btc, "--json", **options)
    assert (result.exit_code, verdicts(result)) == (1, {what: "wrong" if what in wrong else "right" for what in ALL})


@pytest.mark.parametrize("enabled", [False, True])
def test_check_looks_at_the_registered_webhook(btc: Account, service: StandIn, tmp_path: Path, enabled: bool) -> None:
    url = "https://shop.example/blockio/0f3a5b7c9d1e2f40"
    channel = {"name": "blockio_webhook", "url": url}
    assert verdicts(check(tmp_path, service, btc, "--json", walletnotify=channel))["notifications"] == "open"
    service.hooks.post = lambda _url, _body: 200  # type: ignore[method-assign]
    service.hooks.call(btc, "create_notification", {"url": url})
    service.hooks.hooks(btc)[0].enabled = enabled
    result = check(tmp_path, service, btc, "--json", walletnotify=channel)
    assert verdicts(result)["notifications"] == ("right" if enabled else "wrong")
    assert url not in result.output


def test_check_of_a_refused_key_or_another_backend_ends_with_one_sentence(
    btc: Account, service: StandIn, tmp_path: Path
) -> None:
    result = check(tmp_path, service, btc, "--json", api_key="wrong-key")
    assert (result.exit_code, verdicts(result)) == (1, {"key and network": "wrong"})
    assert "wrong-key" not in result.output
    service.faults.arm("get_balance", Fault.HTML, 3)
    assert verdicts(check(tmp_path, service, btc, "--json")) == {"key and network": "wrong"}
    path = tmp_path / "other.yaml"
    path.write_text('{"database": {"url": "sqlite://"}, "coins": {"btc": {}}}')
    nothing = CliRunner().invoke(blockio_group, ["check", str(path)])
    assert nothing.exit_code == 1
    assert "no coin of the configuration has the backend blockio" in nothing.output
