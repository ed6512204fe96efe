"""Who may look at the status pages."""

from __future__ import annotations

import hmac
from typing import Final

from flask import Flask, Response, request

from cryptoassets_core.settings import StatusServerSettings
from cryptoassets_core.utils.httpserver import sentence

#: Endpoints that tell nothing but whether the daemon works, to supervisors that carry no secret.
OPEN_ENDPOINTS: Final = frozenset({"healthz", "readyz"})


def protect(app: Flask, settings: StatusServerSettings) -> None:
    """Ask for the configured secret before anything is shown."""
    if not settings.protected:
        return

    @app.before_request
    def refuse_strangers() -> Response | None:
        if request.endpoint in OPEN_ENDPOINTS or is_allowed(settings):
            return None
        answer = sentence("These pages ask for the user and password, or the token, of status_server.", 401)
        answer.headers["WWW-Authenticate"] = 'Basic realm="cryptoassets", charset="UTF-8"'
        return answer


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
