"""Shared by the kernel's tests and by every plugin's."""

pytest_plugins = ["cryptoassets_core.testing.pytest_plugin"]
