"""Finds plugins, and tells in one sentence what is wrong with those that cannot be used."""

from cryptoassets_core.plugins.catalogue import Catalogue
from cryptoassets_core.plugins.discovery import DISABLED_VARIABLE, FoundPlugin, PluginState
from cryptoassets_core.plugins.manager import Plugins

__all__ = ["DISABLED_VARIABLE", "Catalogue", "FoundPlugin", "PluginState", "Plugins"]
