"""A SIMULATED coin network for demos and application tests: no real coin ever moves."""

from cryptoassets_simnet.errors import ChainFileError, ChainMismatchError, SimnetError
from cryptoassets_simnet.simnet import Simnet, SimnetStatus

__all__ = ["ChainFileError", "ChainMismatchError", "Simnet", "SimnetError", "SimnetStatus"]
