"""Shared by the kernel's tests and by every plugin's."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["cryptoassets_core.testing.pytest_plugin"]

# A busy machine is no fault of the code: nothing here fails for being slow, except what hangs.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
