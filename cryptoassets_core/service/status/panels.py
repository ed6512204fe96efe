"""The panels of plugins: one that fails shows that, and nothing else suffers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.statuspanel import PanelValue, StatusPanel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShownPanel:
    """A panel as it is shown."""

    #: Which plugin it is of.
    origin: str
    title: str
    facts: Mapping[str, PanelValue] = field(default_factory=dict)
    #: What is wrong, None if nothing is.
    problem: str | None = None


class Panels:
    """What the plugins add to the overview."""

    def __init__(self, app: CryptoAssetsApp) -> None:
        self._panels: list[tuple[str, StatusPanel]] = []
        self._broken: list[ShownPanel] = []
        for origin, answer in app.plugins.call_apart("cryptoassets_status_panels", app=app):
            if isinstance(answer, Exception):
                self._broken.append(_failed(origin, "Status panels", answer))
                continue
            for panel in answer:
                if isinstance(panel, StatusPanel):
                    self._panels.append((origin, panel))
                else:
                    self._broken.append(_failed(origin, "Status panels", TypeError(f"{panel!r} is no StatusPanel")))

    def show(self, session: Session) -> list[ShownPanel]:
        """Ask every panel for its facts."""
        shown = []
        for origin, panel in self._panels:
            try:
                shown.append(ShownPanel(origin, panel.title, dict(panel.facts(session))))
            except Exception as error:
                shown.append(_failed(origin, panel.title, error))
                # A statement that failed would make those of the next panel fail.
                session.rollback()
        return [*shown, *self._broken]


def _failed(origin: str, title: str, error: Exception) -> ShownPanel:
    # Not its message: nobody knows what a stranger's exception carries.
    logger.error("%s: the status panel %r failed", origin, title, exc_info=error)
    return ShownPanel(origin, title, problem=f"failed with {type(error).__name__}; the log has the details")
