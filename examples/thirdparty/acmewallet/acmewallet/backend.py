"""The backend: what the kernel asks, in the words of the service.

The service counts in the smallest unit of the coin, keeps the keys, and sends in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import requests
from pydantic import Field, SecretStr

from cryptoassets_core.amounts import check_amount, from_minor_units, to_minor_units
from cryptoassets_core.backend.base import (
    BackendOptions,
    BlockHash,
    ChainChanges,
    OneShotBackend,
    ReceivedOutput,
    SentTransaction,
    Txid,
    WalletTransaction,
)
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.errors import (
    BackendRejectedError,
    BackendUnavailableError,
    InsufficientHotWalletFunds,
    InvalidAmountError,
    OutcomeUnknownError,
    RecipientRejectedError,
)


class AcmeOptions(BackendOptions):
    """Options of the backend ``acmewallet``."""

    #: Where the service answers.
    url: str
    #: Key of the account.
    api_key: SecretStr
    #: Seconds for an answer.
    timeout: float = Field(default=10, gt=0, le=300)


class AcmeBackend(OneShotBackend):
    """A wallet at ACME."""

    def __init__(self, coin: CoinDescription, network: Network, options: AcmeOptions) -> None:
        super().__init__(coin, network, options)
        self._options = options

    def check(self) -> None:
        network = self._ask("network")
        if network != self.network:
            raise BackendRejectedError(f"the ACME wallet is on {network!r}, but {self.network!r} is configured")

    def create_address(self, label: str) -> str:
        return str(self._do("address", label=label))

    def get_tip(self) -> BlockHash:
        return BlockHash(self._ask("tip"))

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        answer = self._ask("since", checkpoint=checkpoint, depth=depth)
        return ChainChanges(
            tip=BlockHash(answer["tip"]),
            checkpoint=BlockHash(answer["checkpoint"]),
            transactions=[self._transaction(each) for each in answer["transactions"]],
        )

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        found = [self._transaction(each) for each in self._ask("transactions", txids=list(txids))]
        return {each.txid: each for each in found}

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        return self._coins(self._ask("balance", confirmations=confirmations))

    def send(self, recipients: Mapping[str, Decimal], label: str) -> SentTransaction:
        answer = self._do("send", recipients=[self._payment(*each) for each in recipients.items()], label=label)
        return SentTransaction(Txid(answer["txid"]), self._coins(answer["fee"]))

    def _payment(self, address: str, amount: Decimal) -> dict[str, object]:
        try:
            exact = check_amount(amount, self.coin.decimals)
        except InvalidAmountError as error:
            raise RecipientRejectedError(str(error), address=address) from error
        return {"address": address, "amount": to_minor_units(exact, self.coin.decimals)}

    def _transaction(self, row: Mapping[str, Any]) -> WalletTransaction:
        return WalletTransaction(
            txid=Txid(row["txid"]),
            confirmations=row["confirmations"],
            block_hash=BlockHash(row["block"]) if row["block"] else None,
            received=tuple(
                ReceivedOutput(each["address"], self._coins(each["amount"]), each["vout"]) for each in row["received"]
            ),
            fee=None if row["fee"] is None else self._coins(row["fee"]),
            sent=self._coins(row["sent"]),
        )

    def _coins(self, minor: int) -> Decimal:
        return from_minor_units(minor, self.coin.decimals)

    # --- Errors told apart ----------------------------------------------------------------------------------

    def _ask(self, question: str, **facts: object) -> Any:
        """Ask what changes nothing: whatever goes wrong, it can be asked again."""
        try:
            return self._call(question, facts)
        except OutcomeUnknownError as error:
            raise BackendUnavailableError(str(error)) from error

    def _do(self, order: str, **facts: object) -> Any:
        """Give an order: without an answer nobody knows whether it was carried out."""
        return self._call(order, facts)

    def _call(self, method: str, facts: Mapping[str, object]) -> Any:
        headers = {"X-Api-Key": self._options.api_key.get_secret_value()}
        url = f"{self._options.url}/{method}"
        try:
            answer = requests.post(url, json=facts, headers=headers, timeout=self._options.timeout)
            body = answer.json()
        except requests.ConnectTimeout:
            raise BackendUnavailableError(f"ACME does not answer at {self._options.url}") from None
        except requests.ConnectionError as error:
            if "NewConnectionError" in repr(error):
                raise BackendUnavailableError(f"ACME cannot be reached at {self._options.url}") from None
            raise OutcomeUnknownError(f"the connection to ACME broke during {method}") from None
        except (requests.RequestException, ValueError):
            raise OutcomeUnknownError(f"ACME gave no usable answer to {method}") from None
        if answer.status_code == 200:
            return body["result"]
        raise _refusal(body)


def _refusal(body: Mapping[str, Any]) -> BackendRejectedError:
    if body["error"] == "funds":
        return InsufficientHotWalletFunds("the ACME wallet holds too little; top it up")
    if body["error"] == "recipient":
        return RecipientRejectedError(f"ACME cannot pay {body['address']!r}", address=body["address"])
    return BackendRejectedError(f"ACME refused: {body['error']}")
