"""Tells where a configuration holds secrets in plain text, and shows it without them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptoassets_core.configfile import VARIABLE

#: What stands for a secret.
MASK: Final = "***"

#: Options that are secrets by their names, also where no model says so.
_SECRET_NAME: Final = re.compile(r"passw|secret|token|api_?key|private_?key|credential|(^|_)pin($|_)", re.IGNORECASE)

#: The password in a URL; an unquoted @ in it counts as part of it.
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^/?#:@\s]*):([^/?#\s]*)(?=@)")

#: The query of a URL, which may hold secrets as well.
_URL_QUERY: Final = re.compile(r"(?<=\?)\S+$")


def plain_secrets(config: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each secret that stands in a configuration itself and not in the environment.

    :param config: as written, the variables of the environment not filled in.
    """
    if isinstance(config, Mapping):
        for key, value in config.items():
            where = f"{path}.{key}" if path else str(key)
            if isinstance(value, str) and value and is_plain_secret(str(key), value):
                yield where
            else:
                yield from plain_secrets(value, where)
    elif isinstance(config, list):
        for index, value in enumerate(config):
            yield from plain_secrets(value, f"{path}[{index}]")


def is_plain_secret(name: str, value: str) -> bool:
    """Tell whether an option holds a secret in plain text."""
    return (_SECRET_NAME.search(name) is not None and not VARIABLE.search(value)) or _masked_password(value) != value


def masked(name: str, value: str, *, secret: bool = False) -> str:
    """Write a value without secrets; the names of environment variables are none.

    :param name: of the option.
    :param secret: its model says that it is one. Of a URL the parts that are none are shown.
    """
    if "://" in value:
        text = _masked_password(value)
        return _URL_QUERY.sub(MASK, text) if secret else text
    if (secret or _SECRET_NAME.search(name)) and not VARIABLE.fullmatch(value):
        return MASK
    return value


def _masked_password(text: str) -> str:
    return _URL_PASSWORD.sub(lambda found: found[0] if VARIABLE.fullmatch(found[2]) else f"{found[1]}:{MASK}", text)
