"""What programs ask: the report as JSON, whether it lives, whether it is ready, and figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from cryptoassets_core.service.status.figures import Figures
from cryptoassets_core.service.status.metrics import make_registry
from cryptoassets_core.service.status.report import make_report

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service


def add_api(flask: Flask, service: Service, figures: Figures) -> None:
    """Add them to the web application."""
    registry = make_registry(service, figures)

    @flask.get("/api/status")
    def status() -> Response:
        return jsonify(make_report(service, figures).as_json())

    @flask.get("/healthz")
    def healthz() -> tuple[dict[str, Any], int]:
        """Restart me if not: a component is dead."""
        alive = all(service.components().values())
        return {"alive": alive}, 200 if alive else 503

    @flask.get("/readyz")
    def readyz() -> tuple[dict[str, Any], int]:
        """Wait if not: something that it needs is away, and a restart would not help."""
        ready = make_report(service, figures).healthy
        return {"ready": ready}, 200 if ready else 503

    @flask.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
