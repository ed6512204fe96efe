"""How the plugin is found and configured, and the daemon it brings for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pluggy
import pytest
from pydantic import ValidationError

from cryptoassets_bitcoind.backend import BitcoindBackend
from cryptoassets_bitcoind.options import BitcoindOptions
from cryptoassets_bitcoind.testing import RegtestError, RegtestNode
from cryptoassets_core import hookspecs
from cryptoassets_core.backend.base import BackendOptions, CoinBackend
from cryptoassets_core.errors import BackendAuthenticationError, ConfigurationError
from cryptoassets_core.loading import load_class
from cryptoassets_core.testing.requirements import require

URL = "http://user:s3cret@127.0.0.1:9332/"


def test_plugin_is_found_by_its_entry_point_and_keeps_to_the_hooks() -> None:
    (found,) = entry_points(group=hookspecs.PROJECT_NAME, name="bitcoind")
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(found.load())
    manager.check_pending()
    ((backend,),) = manager.hook.cryptoassets_backends()
    assert backend.name == "bitcoind"
    assert load_class(backend.factory, CoinBackend) is BitcoindBackend
    assert load_class(backend.options, BackendOptions) is BitcoindOptions
    assert backend.legacy_names == ("cryptoassets.core.backend.bitcoind.Bitcoind",)


def test_options_of_an_old_configuration_are_enough() -> None:
    options = BitcoindOptions.model_validate({"url": URL, "timeout": 60})
    assert options.timeout == 60
    assert BitcoindOptions.model_validate({"url": URL}).timeout == 15


def test_fee_rate_from_yaml_is_exactly_what_was_written() -> None:
    assert BitcoindOptions.model_validate({"url": URL, "fee_rate": 0.00012345}).fee_rate == Decimal("0.00012345")


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0},
        {"timeout": "soon"},
        {"fee_rate": "0"},
        {"fee_rate": "-1"},
        {"fee_rate": "NaN"},
        {"fee_rate": "Infinity"},
        {"fee_rate": "0.001", "confirmation_target": 3},
        {"fee_rate": "0.2", "max_fee_rate": "0.1"},
        {"min_fee_rate": "0.2", "max_fee_rate": "0.1"},
        {"min_fee_rate": "0.001", "fee_rate": "0.002"},
        {"min_fee_rate": "0"},
        {"confirmation_target": 0},
        {"address_type": "taproot"},
        {"passwort": "s3cret"},
        {"url": ["http://user:s3cret@127.0.0.1:9332/"]},
    ],
    ids=str,
)
def test_bad_options_are_refused_without_showing_the_password(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        BitcoindOptions.model_validate({"url": URL, **wrong})
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(caught.value)


@pytest.mark.parametrize("name", ["fee_rate", "min_fee_rate"])
def test_fee_rate_above_the_default_cap_is_refused_at_once(connect: Callable[..., Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} 1 is above .* max_fee_rate"):
        connect(URL, **{name: "1"})


def test_options_do_not_show_the_password() -> None:
    assert "s3cret" not in repr(BitcoindOptions.model_validate({"url": URL}))


HOSTILE = "p@ss/w:rd%41 #?&ä'\"\\"


@pytest.mark.regtest
def test_password_with_every_difficult_character_works_on_a_real_daemon(connect: Callable[..., Any]) -> None:
    require("litecoind", "litecoind")
    with RegtestNode(user="us@er", password=HOSTILE) as node:
        connect(node.url()).check()
        wrong = node.url().replace("%2541", "%2542")
        with pytest.raises(BackendAuthenticationError, match="refused our credentials") as caught:
            connect(wrong).check()
        assert "p%40ss" not in str(caught.value)


@pytest.mark.regtest
def test_node_runs_the_walletnotify_command(tmp_path: Path) -> None:
    require("litecoind", "litecoind")
    told = tmp_path / "told"
    with RegtestNode(walletnotify=f"echo %s >> {told}") as node:
        node.mine_coins()
        txid = str(node.rpc("sendtoaddress", node.rpc("getnewaddress"), Decimal(1)))
        node.mine()
        node.stop()
        assert txid in told.read_text().split()


def test_missing_daemon_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RegtestError, match="sudo apt-get install litecoind"), RegtestNode():
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.regtest
def test_node_that_cannot_start_says_why() -> None:
    require("litecoind", "litecoind")
    with pytest.raises(RegtestError, match="did not start"), RegtestNode(options=["-noSuchOption=1"]):
        pass
