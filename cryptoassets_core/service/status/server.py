"""The status server: one page for people, the same as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, render_template

from cryptoassets_core.service.status.report import make_report
from cryptoassets_core.settings import StatusServerSettings
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service


class StatusServer(BackgroundHTTPServer):
    """Serves the status of a daemon; for its operator, not for the world."""

    def __init__(self, settings: StatusServerSettings, service: Service) -> None:
        super().__init__(make_wsgi_app(service), settings.ip, settings.port, name="status-server")


def make_wsgi_app(service: Service) -> Flask:
    """Return the web application."""
    app = Flask(__name__, static_folder=None)

    @app.get("/")
    def overview() -> str:
        return render_template("overview.html", report=make_report(service))

    @app.get("/api/status")
    def status() -> Response:
        return jsonify(make_report(service).as_json())

    @app.get("/healthz")
    def healthz() -> tuple[dict[str, Any], int]:
        components = service.components()
        return {"alive": all(components.values())}, 200 if all(components.values()) else 503

    return app
