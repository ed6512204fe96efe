"""Lets the pages live below a prefix of a proxy: ``/status`` of a web site that serves other things too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: What proxies call it: the usual name, and that of 2015.
_HEADERS: Final = ("HTTP_X_FORWARDED_PREFIX", "HTTP_X_STATUS_SERVER_LOCATION")

#: A path of plain words. What else a client sends would end up in our links, and lead who knows where.
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){1,8}/?")


class ProxyPrefix:
    """Puts the prefix before every link; one that is not a plain path is ignored."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        prefix = prefix_of(environ)
        if prefix is not None:
            environ["SCRIPT_NAME"] = prefix
        return self._app(environ, start_response)


def prefix_of(environ: WSGIEnvironment) -> str | None:
    """Return the prefix that a proxy names, without a slash at its end; None if there is none that makes sense."""
    for header in _HEADERS:
        value = environ.get(header)
        if value and _PREFIX.fullmatch(value):
            return str(value).rstrip("/")
    return None
