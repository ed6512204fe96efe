"""Events to a Python function, inside the helper daemon."""

from __future__ import annotations

import json
import logging
from typing import Any

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_core.loading import has_parameter, load_function

logger = logging.getLogger(__name__)


class InProcessEventOptions(EventSinkOptions):
    """Which function is called."""

    #: Dotted name of a function that takes the event's name and its data, a dict; and ``event_id``, if it has such a
    #: parameter.
    callback: str


class InProcessEventHandler(EventSink):
    """Calls a function for each event, in the thread of this sink; when it returns, the event is taken."""

    def __init__(self, name: str, options: InProcessEventOptions) -> None:
        """
        :raises ConfigurationError: the function cannot be imported.
        """
        super().__init__(name, options)
        self._dotted_name = options.callback
        self._callback = load_function(options.callback)
        self._takes_id = has_parameter(self._callback, "event_id")

    def deliver(self, event: Event) -> None:
        # A copy: what the function does with it is nobody else's business.
        data: dict[str, Any] = json.loads(event.data_as_json())
        named = {"event_id": event.id} if self._takes_id else {}
        try:
            self._callback(event.name, data, **named)
        except (Exception, SystemExit) as error:
            # A sys.exit() in there would end the thread of this sink.
            logger.exception("%s failed to handle event %s", self._dotted_name, event.id)
            raise EventDeliveryError(
                f"event sink {self.name}: {self._dotted_name} failed to handle event {event.id} with "
                f"{type(error).__name__}; the log has the details"
            ) from error
