"""What the configuration may say about a daemon."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import ConfigDict, Field, SecretStr, model_validator

from cryptoassets_core.backend.base import BackendOptions


class BitcoindOptions(BackendOptions):
    """Options of the ``bitcoind`` backend."""

    # Without this pydantic quotes its whole input, and so the password, when one field contradicts another.
    model_config = ConfigDict(hide_input_in_errors=True)

    #: ``http://user:password@127.0.0.1:9332/``; with ``/wallet/name`` behind it where the daemon has several wallets.
    #: Special characters of user and password are written percent-encoded.
    url: SecretStr
    #: Seconds the daemon has for an ordinary answer; slow calls such as funding and sending get at least 60.
    timeout: float = Field(default=15, gt=0, le=3600)
    #: Seconds. With a newest block older than this the daemon counts as cut off from its network, and nothing is
    #: credited. By default six hours on a main network; elsewhere any age is accepted.
    max_tip_age: float | None = Field(default=None, gt=0)
    #: Whole coins for 1000 bytes. When neither this nor ``confirmation_target`` is set, the daemon decides.
    fee_rate: Decimal | None = Field(default=None, gt=0)
    #: Blocks within which a withdrawal should confirm; the daemon estimates the fee for it.
    confirmation_target: int | None = Field(default=None, ge=1, le=1008)
    #: Whole coins for 1000 bytes that are paid at the least, whatever the daemon estimates.
    min_fee_rate: Decimal | None = Field(default=None, gt=0)
    #: Whole coins for 1000 bytes, above which nothing is sent; by default 2000 times the coin's dust limit.
    max_fee_rate: Decimal | None = Field(default=None, gt=0)
    #: Kind of the new receiving addresses; by default the daemon decides.
    address_type: Literal["legacy", "p2sh-segwit", "bech32", "bech32m"] | None = None

    @model_validator(mode="after")
    def _fee_options_agree(self) -> Self:
        if self.fee_rate is not None and self.confirmation_target is not None:
            raise ValueError("set either fee_rate or confirmation_target, not both")
        if self.fee_rate is not None and self.min_fee_rate is not None:
            raise ValueError("min_fee_rate is for estimated fees; leave it out beside fee_rate")
        for name, rate in (("fee_rate", self.fee_rate), ("min_fee_rate", self.min_fee_rate)):
            if rate is not None and self.max_fee_rate is not None and rate > self.max_fee_rate:
                raise ValueError(f"{name} must not be above max_fee_rate")
        return self
