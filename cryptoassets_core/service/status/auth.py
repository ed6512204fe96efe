"""Who may look at the status pages."""

from __future__ import annotations

import hmac
import logging
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, request

from cryptoassets_core.settings import StatusServerSettings, is_loopback
from cryptoassets_core.utils.httpserver import note_refusal, sentence

#: Endpoints that tell nothing but whether the daemon works, to supervisors that carry no secret.
OPEN_ENDPOINTS: Final = frozenset({"healthz", "readyz"})


def protect(app: Flask, settings: StatusServerSettings) -> None:
    """Ask for the configured secret before anything is shown; without one, serve this machine only."""

    @app.before_request
    def refuse_strangers() -> Response | None:
        if request.endpoint in OPEN_ENDPOINTS:
            return None
        if not settings.protected:
            return None if asks_this_machine() else _refused_by_name()
        if is_allowed(settings):
            return None
        note_refusal(401, level=logging.WARNING)
        answer = sentence("These pages ask for the user and password, or the token, of status_server.", 401)
        answer.headers["WWW-Authenticate"] = 'Basic realm="cryptoassets", charset="UTF-8"'
        return answer


def asks_this_machine() -> bool:
    """Tell whether the request is for this machine by an address or name that can mean no other.

    A web site whose name leads to 127.0.0.1 would have its visitors' browsers read the pages for it.
    """
    try:
        return is_loopback(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        return False


def _refused_by_name() -> Response:
    note_refusal(403, level=logging.WARNING)
    return sentence(
        "These pages are for 127.0.0.1 and localhost as long as status_server has no password or token; "
        "a proxy must ask by that name, or set one.",
        403,
    )


def is_allowed(settings: StatusServerSettings) -> bool:
    """Tell whether the request carries the secret; how long that takes tells nothing of it."""
    given = request.authorization
    if given is None:
        return False
    if given.type == "bearer" and settings.token is not None:
        return _same(given.token or "", settings.token.get_secret_value())
    if given.type == "basic" and settings.user is not None and settings.password is not None:
        user = _same(given.username or "", settings.user)
        password = _same(given.password or "", settings.password.get_secret_value())
        return user and password
    return False


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))
