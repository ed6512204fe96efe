"""Events to a Python function, inside the helper daemon."""

from __future__ import annotations

import copy
import logging
from typing import Any

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_core.loading import load_function

logger = logging.getLogger(__name__)


class InProcessEventOptions(EventSinkOptions):
    """Which function is called."""

    #: Dotted name of a function that takes the event's name and its data, a dict.
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

    def deliver(self, event: Event) -> None:
        data: dict[str, Any] = copy.deepcopy(dict(event.data))
        try:
            self._callback(event.name, data)
        except (Exception, SystemExit) as error:
            # A sys.exit() in there would end the thread of this sink.
            logger.exception("%s failed to handle event %s", self._dotted_name, event.id)
            raise EventDeliveryError(
                f"event sink {self.name}: {self._dotted_name} failed to handle event {event.id} with "
                f"{type(error).__name__}; the log has the details"
            ) from error
