"""The sinks that an app is configured with, by name."""

from __future__ import annotations

from cryptoassets_core.event.base import EventSink


class EventHandlerRegistry:
    """Keeps event sinks under the names that the configuration gives them."""

    def __init__(self) -> None:
        self._sinks: dict[str, EventSink] = {}

    def register(self, name: str, sink: EventSink) -> None:
        """Add a sink."""
        self._sinks[name] = sink

    def get_all(self) -> list[EventSink]:
        """Return all sinks."""
        return list(self._sinks.values())

    def clear(self) -> None:
        """Forget all sinks."""
        self._sinks.clear()
