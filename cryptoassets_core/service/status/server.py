"""The status server: pages for people, JSON and figures for programs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, render_template, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from cryptoassets_core.database import cause
from cryptoassets_core.errors import CryptoAssetsError, UnknownRowError
from cryptoassets_core.service.status.api import add_api
from cryptoassets_core.service.status.auth import protect
from cryptoassets_core.service.status.figures import Figures
from cryptoassets_core.service.status.lists import add_lists
from cryptoassets_core.service.status.overview import add_overview
from cryptoassets_core.service.status.prefix import ProxyPrefix
from cryptoassets_core.service.status.stories import add_stories
from cryptoassets_core.settings import StatusServerSettings
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, note_refusal

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service

logger = logging.getLogger(__name__)

#: Nothing is loaded but our own stylesheet and icon, nothing runs, nobody frames us, forms lead to us.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

#: Path and name of each page in the menu, in order.
MENU: Final = (
    ("overview", "Overview"),
    ("activity", "Activity"),
    ("wallets", "Wallets"),
    ("accounts", "Accounts"),
    ("addresses", "Addresses"),
    ("transactions", "Transactions"),
    ("network_transactions", "Network"),
    ("broadcasts", "Broadcasts"),
    ("events", "Events"),
)


class StatusServer(BackgroundHTTPServer):
    """Serves the status of a daemon; for its operator, not for the world.

    :ivar figures: what pages cannot take anew each time; a job of the daemon refreshes it.
    """

    def __init__(self, settings: StatusServerSettings, service: Service) -> None:
        self.figures = Figures(service.app)
        app = make_wsgi_app(service, settings, self.figures)
        super().__init__(app, settings.ip, settings.port, name="status-server")


def make_wsgi_app(
    service: Service, settings: StatusServerSettings | None = None, figures: Figures | None = None
) -> Flask:
    """Return the web application."""
    figures = figures or Figures(service.app)
    flask = Flask(__name__, static_folder="static")
    flask.jinja_env.trim_blocks = flask.jinja_env.lstrip_blocks = True
    flask.wsgi_app = ProxyPrefix(flask.wsgi_app)  # type: ignore[method-assign]
    protect(flask, settings or StatusServerSettings())
    _add_surroundings(flask, service)
    add_overview(flask, service, figures)
    add_lists(flask, service.app)
    add_stories(flask, service.app)
    add_api(flask, service, figures)
    return flask


def _add_surroundings(flask: Flask, service: Service) -> None:
    """Add what all pages have: menu, security headers, and errors in a sentence."""

    @flask.context_processor
    def surroundings() -> dict[str, object]:
        return {"menu": MENU, "coins": [name for name, _ in service.app.coins.all()]}

    @flask.after_request
    def secure(answer: Response) -> Response:
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        if request.endpoint != "static":
            answer.headers["Cache-Control"] = "no-store"
        return answer

    @flask.errorhandler(HTTPException)
    def refused(error: HTTPException) -> BaseResponse | tuple[str, int]:
        if error.code is None or error.code < 400:
            return error.get_response()
        words = "There is no such page." if error.code == 404 else "This cannot be asked for here."
        return _problem(words, error.code)

    @flask.errorhandler(CryptoAssetsError)
    def not_there(error: CryptoAssetsError) -> tuple[str, int]:
        return _problem(str(error), 404 if isinstance(error, UnknownRowError) else 400)

    @flask.errorhandler(DBAPIError)
    def no_database(error: DBAPIError) -> tuple[str, int]:
        return _problem(f"the database cannot be asked: {cause(error)}", 503)

    @flask.errorhandler(Exception)
    def failed(error: Exception) -> tuple[str, int]:
        logger.error("a status page could not be made", exc_info=error)
        return _problem("This page could not be made; the log of the daemon tells why.", 500)


def _problem(sentence: str, code: int) -> tuple[str, int]:
    if code < 500:
        note_refusal(code)
    return render_template("problem.html", sentence=sentence, code=code), code
