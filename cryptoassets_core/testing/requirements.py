"""Programs that tests need and Python cannot install."""

from __future__ import annotations

import os
import shutil

import pytest


def require(program: str, package: str, *, path: str | None = None) -> str:
    """Find a program, or end the running test: skipped on a developer's machine, failed where ``CI`` is set.

    Continuous integration must not turn green because it tested nothing.

    :param program: name of the executable.
    :param package: the Debian package that brings it.
    :param path: directories to search, written like ``PATH``; the environment's ``PATH`` when None.
    :returns: path of the executable.
    """
    found = shutil.which(program, path=path)
    if found is None:
        message = f"{program} is not installed; get it with: sudo apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return found
