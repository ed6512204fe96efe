"""Events to a Redis stream: ``XADD``, one entry an event, for consumer groups of the application to read."""

from __future__ import annotations

from typing import Final

import redis
from pydantic import Field

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_redis.server import RedisServer, connect, named, reason

#: How long Redis remembers which events it has: an event whose answer was lost comes again within that time.
REMEMBERED_SECONDS: Final = 24 * 60 * 60

#: Adds an entry unless the event has been added before. Keys: the stream, the mark of the event. Arguments: seconds to
#: remember it, the most entries to keep or 0, event id, event name, data. The mark comes last: where the stream takes
#: no entry, an error ends the script before it.
_ADD_ONCE: Final = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local entry = {'event_id', ARGV[3], 'event_name', ARGV[4], 'data', ARGV[5]}
if ARGV[2] == '0' then
    redis.call('XADD', KEYS[1], '*', unpack(entry))
else
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(entry))
end
redis.call('SET', KEYS[2], 1, 'EX', ARGV[1])
return 1
"""


class RedisEventOptions(EventSinkOptions, RedisServer):
    """Which Redis, and the name of the stream."""

    #: Key of the stream.
    stream: str = Field(default="cryptoassets_events", min_length=1)
    #: About how many entries the stream keeps; without it, all.
    maxlen: int | None = Field(default=None, ge=1)


class RedisEventSink(EventSink):
    """Adds entries with the fields ``event_id``, ``event_name`` and ``data``, a JSON object.

    An event that comes again within a day, because the answer of Redis was lost, is not added again. After that, and
    after a Redis that lost its memory, a reader sees the same ``event_id`` twice.
    """

    def __init__(self, name: str, options: RedisEventOptions) -> None:
        super().__init__(name, options)
        self._options = options
        self._redis = connect(options)
        self._add_once = self._redis.register_script(_ADD_ONCE)

    def deliver(self, event: Event) -> None:
        data = event.data_as_json()
        stream = self._options.stream
        try:
            self._add_once(
                # Braces keep both keys on one node of a Redis cluster, unless the stream's own name has some.
                keys=[stream, f"{{{stream}}}:added:{event.id}"],
                args=[REMEMBERED_SECONDS, self._options.maxlen or 0, event.id, event.name, data],
            )
        except (redis.RedisError, OSError) as error:
            raise EventDeliveryError(
                f"event sink {self.name}: {named(self._options)} did not take event {event.id}: {reason(error)}"
            ) from None

    def close(self) -> None:
        self._redis.close()
