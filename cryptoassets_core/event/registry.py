"""The sinks that an app is configured with, by name."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from cryptoassets_core.event.base import Event, EventSink

logger = logging.getLogger(__name__)


class EventHandlerRegistry:
    """Keeps event sinks under the names that the configuration gives them."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._sinks: dict[str, EventSink] = {}

    def declare(self, name: str) -> None:
        """Note that there is a sink of this name, also in a process that delivers nothing."""
        self._names[name] = None

    def register(self, name: str, sink: EventSink) -> None:
        """Add a sink."""
        self.declare(name)
        self._sinks[name] = sink

    def names(self) -> list[str]:
        """Return the names of all sinks that are configured."""
        return list(self._names)

    def get_all(self) -> list[EventSink]:
        """Return all sinks of this process."""
        return list(self._sinks.values())

    def trigger(self, event_name: str, data: Mapping[str, object]) -> None:
        """Give something to every sink of this process now, past the outbox: once, and without trying again.

        For trying out a configuration. What goes through the outbox is safe; this is not. A sink that fails is logged
        and does not keep it from the others.

        :param data: JSON-ready.
        """
        if not self._sinks:
            logger.warning("no event sinks are configured: nobody hears of %s", event_name)
        event = Event(str(uuid.uuid4()), event_name, data)
        for name, sink in self._sinks.items():
            try:
                sink.deliver(event)
            except Exception:
                logger.exception("event sink %s did not take the event %s", name, event_name)

    def clear(self) -> None:
        """Forget all sinks."""
        self._names.clear()
        self._sinks.clear()
