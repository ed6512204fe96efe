"""Shared by the kernel's tests and by every plugin's."""

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code: nothing here fails for being slow, except what hangs.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stress: long; runs only when asked for with -m stress")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "stress" in config.option.markexpr:
        return
    stress = [item for item in items if item.get_closest_marker("stress")]
    config.hook.pytest_deselected(items=stress)
    items[:] = [item for item in items if item not in stress]
