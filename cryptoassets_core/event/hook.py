"""Events to a plugin that implements ``cryptoassets_event``: a sink of its own for each."""

from __future__ import annotations

from collections.abc import Callable

from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions


class HookEventSink(EventSink):
    """Calls the hook of one plugin; when it returns, the plugin has the event."""

    def __init__(self, name: str, call: Callable[..., object]) -> None:
        """
        :param call: calls the plugin with the argument ``event``, and raises what it raises.
        """
        super().__init__(name, EventSinkOptions())
        self._call = call

    def deliver(self, event: Event) -> None:
        self._call(event=event)
