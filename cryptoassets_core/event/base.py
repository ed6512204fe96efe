"""The contract of event sinks: where the application hears what happened."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from cryptoassets_core.errors import EventDeliveryError


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as it is delivered."""

    #: Unique and the same at every delivery: receivers use it to ignore repeats.
    id: str
    name: str
    #: JSON-ready; amounts are strings in fixed notation.
    data: Mapping[str, object]

    def data_as_json(self) -> str:
        """Write the data as a JSON object, in ASCII and on one line.

        :raises EventDeliveryError: JSON cannot carry it; what is not a number is none in JSON either.
        """
        try:
            return json.dumps(dict(self.data), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EventDeliveryError(f"event {self.id} cannot be written as JSON: {error}") from None


class EventSinkOptions(BaseModel):
    """Options of a sink; a plugin adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EventSink(ABC):
    """Delivers events to one place, from a thread of its own, or several where it says so."""

    #: How many threads may call :py:meth:`deliver` at once; what they deliver is of different subjects.
    concurrency: int = 1

    def __init__(self, name: str, options: EventSinkOptions) -> None:
        self.name = name

    @abstractmethod
    def deliver(self, event: Event) -> None:
        """Hand over the event; returning means that it was taken.

        :raises EventDeliveryError: it was not; it will be tried again.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSinkType:
    """A kind of sink that a plugin brings, as named in the configuration."""

    name: str
    #: The sink's class, or its dotted name, which is imported when a configuration asks for it.
    factory: type[EventSink] | str
    #: The model of its options, likewise.
    options: type[EventSinkOptions] | str
    #: Dotted class names that older configuration files use.
    legacy_names: tuple[str, ...] = ()
