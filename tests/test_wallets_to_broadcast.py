"""The way of the daemon: find the wallets in one transaction, broadcast in others."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from sqlalchemy.orm import Session

from cryptoassets_btc import BITCOIN
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.base import TwoStepBackend
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.configure import Configurator
from cryptoassets_core.tools.broadcast import Broadcaster, wallets_to_broadcast
from cryptoassets_simnet import Simnet


def test_wallets_from_a_closed_session_can_be_broadcast(tmp_path: Path) -> None:
    app = CryptoAssetsApp()
    chain = str(tmp_path / "chain")
    Configurator(app).load_from_dict(
        {
            "database": {"url": f"sqlite:///{tmp_path / 'books'}"},
            "coins": {"btc": {"network": "regtest", "backend": {"name": "simnet", "path": chain}}},
        }
    )
    app.create_tables()
    app.setup_session()
    coin = app.coins.get("btc")
    backend = coin.backend
    assert isinstance(backend, TwoStepBackend)

    @app.conflict_resolver.managed_transaction
    def make_address(session: Session) -> str:
        wallet = coin.wallet_model.get_or_create_by_name("shop", session)
        account = wallet.get_or_create_account_by_name("customer")
        return wallet.create_receiving_address(account, automatic_label=True).address

    @app.conflict_resolver.managed_transaction
    def withdraw(session: Session, address: str) -> None:
        wallet = coin.wallet_model.get_or_create_by_name("shop", session)
        wallet.send_external(wallet.get_or_create_account_by_name("customer"), address, Decimal(1), None)

    with Simnet(chain, BITCOIN) as network:
        network.pay(make_address(), Decimal(2))
        network.mine(3)
        TransactionUpdater(app.conflict_resolver, backend, coin).poll()
        withdraw("bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9")

        wallets = app.conflict_resolver.run(lambda session: wallets_to_broadcast(session, coin))
        counts = [
            Broadcaster(wallet, app.conflict_resolver, backend, coin=coin).do_broadcasts().count for wallet in wallets
        ]

        assert counts == [1]
        assert network.status().mempool == 1
    app.close()
