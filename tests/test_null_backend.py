"""The backend that talks to nobody: what it cannot do it says, and the daemon runs with it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from commands import ask, daemon, simnet_config, write

from cryptoassets_btc import BITCOIN
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.base import BackendOptions
from cryptoassets_core.backend.null import NullBackend
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import BackendRejectedError, CannotCreateAddress
from cryptoassets_core.testing import BackendSuite, BackendWorld


class Nowhere(BackendWorld):
    """There is no outside."""

    def __init__(self) -> None:
        self.backend = NullBackend(BITCOIN, "regtest", BackendOptions())

    def outside_address(self) -> str:
        return "bcrt1qyakh5nc6pmwer2ydszglvcy85zwek7wrpy7e2v"


class TestNullBackend(BackendSuite):
    backend_class = NullBackend

    @pytest.fixture
    def world(self) -> BackendWorld:
        return Nowhere()


def test_what_would_need_a_network_is_refused_in_a_sentence() -> None:
    backend = Nowhere().backend
    for call, what in (
        (lambda: backend.create_address("label"), "makes no addresses"),
        (lambda: backend.send({"address": Decimal(1)}, "label"), "sends nothing"),  # type: ignore[attr-defined]
    ):
        with pytest.raises(BackendRejectedError, match=f"the null backend of btc {what}; configure a backend"):
            call()


@pytest.mark.parametrize(
    "name", [{"name": "null"}, {"name": None}, {"class": "cryptoassets.core.backend.null.DummyCoinBackend"}]
)
def test_it_is_found_by_its_names(name: dict[str, object]) -> None:
    """YAML takes a bare ``null`` for nothing."""
    app = CryptoAssetsApp()
    coins = {"btc": {"network": "regtest", "backend": {**name, "walletnotify": {"name": "pipe", "fname": "/none"}}}}
    Configurator(app).load_from_dict({"database": {"url": "sqlite://"}, "coins": coins})
    assert isinstance(app.coins.get("btc").backend, NullBackend)
    app.setup_session()
    app.create_tables()
    with app.open_session() as session:
        wallet = app.coins.get("btc").wallet_model.get_or_create_by_name("shop", session)
        account = wallet.get_or_create_account_by_name("alice")
        with pytest.raises(CannotCreateAddress, match="makes no addresses"):
            wallet.create_receiving_address(account, automatic_label=True)
    app.close()


def test_the_daemon_runs_with_it_and_keeps_what_cannot_be_sent(tmp_path: Path) -> None:
    config = simnet_config(tmp_path)
    config["coins"]["btc"]["backend"] = {
        "name": "null",
        "walletnotify": {"name": "pipe", "fname": str(tmp_path / "pipe")},
    }
    assert ask("cryptoassets init-db", write(tmp_path, config)).returncode == 0
    with daemon(config, tmp_path) as running:
        running.ready()
        (tmp_path / "pipe").write_text("ab" * 32 + "\n")
        assert running.status()["healthy"] is True
        assert running.end() == 0
        assert "no address, no deposit and no withdrawal is possible" in running.log
        assert "Traceback" not in running.log
