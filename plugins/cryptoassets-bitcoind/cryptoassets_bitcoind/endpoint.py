"""Where a daemon listens and how we introduce ourselves, read from one URL."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from cryptoassets_core.errors import ConfigurationError

_EXAMPLE = "http://user:password@127.0.0.1:9332/"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A daemon's address; its ``repr`` is safe to show."""

    scheme: str
    host: str
    port: int
    path: str
    #: Value of the HTTP header, which is as secret as the password.
    authorization: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL with credentials.

        User and password are percent-decoded; what they hold is never repeated in an error.

        :raises ConfigurationError: it is not of the form ``http://user:password@host:port/``.
        """
        scheme, _, rest = url.strip().partition("://")
        # Cut at the last @: a password may hold / and @ that nobody encoded, and urlsplit would stumble over them.
        credentials, at, place = rest.rpartition("@")
        user, colon, password = credentials.partition(":")
        if scheme not in {"http", "https"} or not at or not colon or not user:
            raise ConfigurationError(
                f"the url of the bitcoind backend must look like {_EXAMPLE}, with the daemon's rpcuser and rpcpassword"
            )
        try:
            parts = urlsplit(f"{scheme}://{place}")
            port = parts.port
        except ValueError:
            raise _bad_place() from None
        if not parts.hostname:
            raise _bad_place()
        secret = f"{unquote(user)}:{unquote(password)}".encode()
        return cls(
            scheme=scheme,
            host=parts.hostname,
            port=port or (443 if scheme == "https" else 80),
            path=quote(parts.path, safe="/%") or "/",
            authorization="Basic " + base64.b64encode(secret).decode("ascii"),
        )

    @property
    def url_without_credentials(self) -> str:
        """The URL for python-bitcoinrpc, which insists on a user; the real one is added on the way out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://-:-@{host}:{self.port}{self.path}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" + (self.path if self.path != "/" else "")


def _bad_place() -> ConfigurationError:
    return ConfigurationError(
        f"the url of the bitcoind backend has no valid host and port after its last @; it should look like {_EXAMPLE}"
    )
