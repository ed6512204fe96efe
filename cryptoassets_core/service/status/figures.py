"""Figures that are too dear for a page: taken in the background, and shown with the time they are of."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.database import cause
from cryptoassets_core.errors import BackendError
from cryptoassets_core.models.types import read_total, select_total
from cryptoassets_core.tools.listing.paging import COUNTED, bounded_count

logger = logging.getLogger(__name__)

#: How often they are taken.
REFRESH_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Figure:
    """An amount, and when it was so."""

    #: Whole coins.
    amount: Decimal
    at: datetime


class Figures:
    """What all accounts of a coin have together, and what its backend's wallet holds."""

    def __init__(self, app: CryptoAssetsApp) -> None:
        self._app = app
        self._balances: dict[str, Figure] = {}
        self._hot_wallets: dict[str, Figure] = {}

    def balance(self, session: Session, coin: Coin) -> Figure:
        """Return the sum of all accounts: of now while there are few of them, else of the last look at them all."""
        known = self._balances.get(coin.name)
        if known is not None and bounded_count(session, select(coin.account_model.id)) > COUNTED:
            return known
        return self._take_balance(session, coin)

    def hot_wallet(self, coin: Coin) -> Figure | None:
        """Return what the backend said last; a page never waits for a backend."""
        return self._hot_wallets.get(coin.name)

    def refresh(self) -> None:
        """Take all figures anew; a job of the daemon. What cannot be had now stays as it was."""
        for _, coin in self._app.coins.all():
            try:
                with self._app.open_readonly_session(wait=False) as session:
                    self._take_balance(session, coin)
                if coin.backend is not None:
                    self._hot_wallets[coin.name] = Figure(coin.backend.get_backend_balance(), utc_now())
            except BackendError as error:
                # What is wrong with the backend is told by the jobs that need it.
                logger.debug("%s: the hot wallet's balance is not known: %s", coin.name, error)
            except DBAPIError as error:
                logger.debug("%s: the balances cannot be added up: %s", coin.name, cause(error))

    def _take_balance(self, session: Session, coin: Coin) -> Figure:
        total = read_total(session, select_total(coin.account_model.balance), coin.description.decimals)
        figure = self._balances[coin.name] = Figure(total, utc_now())
        return figure
