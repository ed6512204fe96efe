"""Understands what configuration files of 2015 call otherwise, and says what it is called now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptoassets_core.errors import ConfigurationError

#: The per-coin setting that 2015 configuration files give inside ``backend``.
_OLD_MAX_CONFIRMATIONS: Final = "max_tracked_incoming_confirmations"


def modernize(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a configuration in today's spelling, and a sentence for each thing that was spelt otherwise.

    What is malformed besides is left as it is for the checks that follow.

    :raises ConfigurationError: an old and a new spelling contradict each other.
    """
    modern, notes = dict(config), list[str]()
    if "status-server" in modern:
        if "status_server" in modern:
            raise ConfigurationError("status-server: status_server is there too and means the same; keep only that one")
        modern["status_server"] = modern.pop("status-server")
        notes.append("status-server: this is called status_server now")
    coins = modern.get("coins")
    if isinstance(coins, Mapping):
        modern["coins"] = _modern_coins(coins, notes)
    return modern, notes


def _modern_coins(coins: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    modern = {name: _modern_coin(name, coin, notes) for name, coin in coins.items()}
    if isinstance(modern.get("testnet"), bool):
        # An example of the manual has it here, beside the coins.
        testnet = modern.pop("testnet")
        notes.append("coins.testnet: this belongs to each coin, best as network: test")
        for name, coin in modern.items():
            if isinstance(coin, dict) and not coin.keys() & {"testnet", "network"}:
                modern[name] = {**coin, "testnet": testnet}
    return modern


def _modern_coin(name: str, coin: Any, notes: list[str]) -> Any:
    backend = coin.get("backend") if isinstance(coin, Mapping) else None
    if not isinstance(backend, Mapping) or _OLD_MAX_CONFIRMATIONS not in backend:
        return coin
    old = backend[_OLD_MAX_CONFIRMATIONS]
    where = f"coins.{name}.backend.{_OLD_MAX_CONFIRMATIONS}"
    if coin.get("max_confirmation_count", old) != old:
        raise ConfigurationError(f"{where}: max_confirmation_count differs and means the same; keep only that one")
    notes.append(f"{where}: this is called coins.{name}.max_confirmation_count now")
    backend = {key: value for key, value in backend.items() if key != _OLD_MAX_CONFIRMATIONS}
    return {**coin, "backend": backend, "max_confirmation_count": old}
