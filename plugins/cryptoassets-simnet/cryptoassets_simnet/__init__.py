"""A SIMULATED coin network for demos and application tests: no real coin ever moves.

Names are imported when they are asked for: pytest loads the fixtures of this package wherever it is installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptoassets_simnet.apps import SimnetApp as SimnetApp
    from cryptoassets_simnet.errors import ChainFileError as ChainFileError
    from cryptoassets_simnet.errors import ChainMismatchError as ChainMismatchError
    from cryptoassets_simnet.errors import SimnetError as SimnetError
    from cryptoassets_simnet.simnet import Simnet as Simnet
    from cryptoassets_simnet.simnet import SimnetStatus as SimnetStatus

#: Where each public name lives.
_HOMES = {
    "ChainFileError": "errors",
    "ChainMismatchError": "errors",
    "Simnet": "simnet",
    "SimnetApp": "apps",
    "SimnetError": "errors",
    "SimnetStatus": "simnet",
}

__all__ = ["ChainFileError", "ChainMismatchError", "Simnet", "SimnetApp", "SimnetError", "SimnetStatus"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
