"""A deposit and a withdrawal with every coin: those of plugins, one with models of one's own, one without a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.coin.defaults import COIN_MODEL_DEFAULTS
from cryptoassets_core.coin.validate import encode_base58check
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import BadAddress, ConfigurationError
from cryptoassets_core.tools.audit import audit
from cryptoassets_core.tools.broadcast import Broadcaster
from cryptoassets_simnet import Simnet

#: A coin that no distribution brings: one module, as the manual has it.
JESUSCOIN = """
    from decimal import Decimal

    from cryptoassets_core.coin.description import AddressRules, CoinDescription
    from cryptoassets_core.coin.registry import CoinModelDescription
    from cryptoassets_core.models import (
        GenericAccount,
        GenericAddress,
        GenericConfirmationNetworkTransaction,
        GenericTransaction,
        GenericWallet,
    )

    JESUSCOIN = CoinDescription(
        symbol="jesuscoin",
        title="Jesuscoin",
        models=__name__,
        networks={
            "main": AddressRules(p2pkh=(0x2B,), p2sh=(0x05,)),
            "regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,)),
        },
        decimals=6,
        dust=Decimal("0.01"),
        uri_scheme="jesuscoin",
    )

    class Account(GenericAccount):
        coin = JESUSCOIN

    class Address(GenericAddress):
        coin = JESUSCOIN

    class Transaction(GenericTransaction):
        coin = JESUSCOIN

    class NetworkTransaction(GenericConfirmationNetworkTransaction):
        coin = JESUSCOIN

    class Wallet(GenericWallet):
        coin = JESUSCOIN

    coin_description = CoinModelDescription(
        coin_name="jesuscoin",
        wallet_model_name=f"{__name__}.Wallet",
        address_model_name=f"{__name__}.Address",
        account_model_name=f"{__name__}.Account",
        transaction_model_name=f"{__name__}.Transaction",
        network_transaction_model_name=f"{__name__}.NetworkTransaction",
    )
"""

#: Models of one's own for a coin that a plugin brings: all five, so that each leads to the others.
MY_DOGE = """
    from cryptoassets_core.coin.registry import CoinModelDescription
    from cryptoassets_core.models import (
        GenericAccount,
        GenericAddress,
        GenericConfirmationNetworkTransaction,
        GenericTransaction,
        GenericWallet,
    )
    from cryptoassets_doge import DOGECOIN

    class Account(GenericAccount):
        coin = DOGECOIN

        def greeting(self):
            return f"much {self.name}"

    class Address(GenericAddress):
        coin = DOGECOIN

    class Transaction(GenericTransaction):
        coin = DOGECOIN

    class NetworkTransaction(GenericConfirmationNetworkTransaction):
        coin = DOGECOIN

    class Wallet(GenericWallet):
        coin = DOGECOIN

        def greeting(self):
            return f"such {self.name}"

    NAMES = ("Wallet", "Address", "Account", "Transaction", "NetworkTransaction")
    coin_description = CoinModelDescription("doge", *(f"{__name__}.{name}" for name in NAMES))
"""

#: A wallet class with something more, and the plugin's four others.
MY_WALLET = """
    from cryptoassets_core.coin.registry import CoinModelDescription
    from cryptoassets_aby.models import ApplebyteWallet, coin_description as stock

    class PoliteWallet(ApplebyteWallet):
        def greeting(self):
            return f"dear {self.name}"

    coin_description = CoinModelDescription(
        coin_name="aby",
        wallet_model_name=f"{__name__}.PoliteWallet",
        address_model_name=stock.address_model_name,
        account_model_name=stock.account_model_name,
        transaction_model_name=stock.transaction_model_name,
        network_transaction_model_name=stock.network_transaction_model_name,
    )
"""


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Importable once, as in a process of its own: classes that are mapped stay so."""
    directory = tmp_path_factory.mktemp("modules")
    (directory / "story_jesuscoin.py").write_text(dedent(JESUSCOIN))
    (directory / "story_doge.py").write_text(dedent(MY_DOGE))
    (directory / "story_wallet.py").write_text(dedent(MY_WALLET))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory))
        yield


def opened(tmp_path: Path, symbol: str, **settings: object) -> CryptoAssetsApp:
    app = CryptoAssetsApp()
    backend = {"name": "simnet", "path": str(tmp_path / "chain"), "fee": "0.01"}
    coin = {"network": "regtest", "backend": backend, **settings}
    Configurator(app).load_from_dict({"database": {"url": f"sqlite:///{tmp_path / 'books'}"}, "coins": {symbol: coin}})
    app.create_tables()
    app.setup_session()
    return app


def tell(app: CryptoAssetsApp, tmp_path: Path, symbol: str) -> dict[str, Any]:
    """Receive 100 coins, send 40 outside and 10 to another account; return what is left."""
    coin = app.coins.get(symbol)
    backend = coin.backend
    assert backend is not None
    run = app.conflict_resolver.run

    def begin(session: Session) -> tuple[str, str]:
        wallet = coin.wallet_model.get_or_create_by_name("shop", session)
        account = wallet.get_or_create_account_by_name("alice")
        address = wallet.create_receiving_address(account, automatic_label=True).address
        return address, coin.uri(address, Decimal("100"))

    address, link = run(begin)
    assert coin.parse_uri(link).address == address
    updater = TransactionUpdater(app.conflict_resolver, backend, coin)
    with Simnet(str(tmp_path / "chain"), coin.description) as network:
        outside = encode_base58check(coin.address_rules.p2pkh[0], bytes(range(20)))
        network.pay(address, Decimal(100))
        network.mine(coin.confirmation_count)
        updater.poll()

        def spend(session: Session) -> None:
            wallet = coin.wallet_model.get_or_create_by_name("shop", session)
            alice, bob = (wallet.get_or_create_account_by_name(name) for name in ("alice", "bob"))
            wallet.send(alice, outside, Decimal(40), "rent")
            wallet.send_internal(alice, bob, Decimal(10), "lunch")

        run(spend)
        wallet = run(lambda session: coin.wallet_model.get_or_create_by_name("shop", session))
        Broadcaster(wallet, app.conflict_resolver, backend, coin=coin).do_broadcasts()
        network.mine(coin.confirmation_count)
        updater.poll()
    with app.open_readonly_session() as session:
        assert list(audit(session, coin)) == []
        accounts = session.query(coin.account_model).all()
        return {account.name: account.balance for account in accounts}


#: The fee stands in an account of its own.
LEFT = {"alice": Decimal(50), "bob": Decimal(10), "Network fees": Decimal("-0.01")}


@pytest.mark.parametrize("symbol", ["btc", "ltc", "doge", "aby"])
def test_coin_of_a_plugin(symbol: str, tmp_path: Path) -> None:
    app = opened(tmp_path, symbol)
    assert app.coins.get(symbol).wallet_model.__module__ == COIN_MODEL_DEFAULTS[symbol]
    assert tell(app, tmp_path, symbol) == LEFT
    app.close()


def test_coin_of_one_module(tmp_path: Path) -> None:
    app = opened(tmp_path, "jesuscoin", models="story_jesuscoin")
    coin = app.coins.get("jesuscoin")
    assert tell(app, tmp_path, "jesuscoin") == LEFT
    assert not coin.validate_address("bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9")
    with pytest.raises(BadAddress):
        coin.uri("D6aL3584L7DQcHckJW9eE3ifADAguLSRBU")
    app.close()


def test_models_in_place_of_those_of_a_plugin(tmp_path: Path) -> None:
    app = opened(tmp_path, "doge", models="story_doge")
    coin = app.coins.get("doge")
    assert tell(app, tmp_path, "doge") == LEFT
    with app.open_session() as session:
        wallet: Any = session.query(coin.wallet_model).one()
        assert wallet.greeting() == "such shop"
        assert wallet.get_account_by_name("alice").greeting() == "much alice"
    app.close()


def test_wallet_class_that_derives_from_the_plugins(tmp_path: Path) -> None:
    app = opened(tmp_path, "aby", models="story_wallet")
    coin = app.coins.get("aby")
    assert tell(app, tmp_path, "aby") == LEFT
    with app.open_session() as session:
        wallet: Any = coin.wallet_model.get_or_create_by_name("shop", session)
        assert wallet.greeting() == "dear shop"
    app.close()


def test_models_of_another_coin_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"coins\.btc: .* describes 'jesuscoin'; write coins\.jesuscoin"):
        opened(tmp_path, "btc", models="story_jesuscoin")


def test_default_models_are_those_of_the_installed_plugins() -> None:
    assert COIN_MODEL_DEFAULTS["doge"] == "cryptoassets_doge.models"
    assert {"btc", "ltc", "doge", "aby"} <= set(COIN_MODEL_DEFAULTS)
