"""Take the helper daemon's events over HTTP in a thread of the application."""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote

from flask import Response, request

from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.http import HTTPEventHandler, check_url
from cryptoassets_core.event.signing import TOLERANCE_SECONDS, SignatureError, Signed, parse_secret, verify
from cryptoassets_core.loading import has_parameter
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, sentence, shortened

logger = logging.getLogger(__name__)

#: Events are below a kilobyte each.
MAX_BODY_BYTES: Final = 256 * 1024
#: How many ids of events that were handled are remembered to tell repeats.
REMEMBERED_EVENTS: Final = 10_000
MAX_NAME_LENGTH: Final = 200

#: What the configuration may call the HTTP sink.
_SINK_NAMES: Final = {
    "http",
    "cryptoassets.core.event.http.HTTPEventHandler",
    f"{HTTPEventHandler.__module__}.{HTTPEventHandler.__qualname__}",
}

#: Takes the name of an event and its data; and ``event_id``, if it has such a parameter.
EventCallback = Callable[..., object]


class ListeningCallback(Protocol):
    """The decorated function: called as before, and its server can be stopped."""

    server: BackgroundHTTPServer

    def __call__(self, event_name: str, data: dict[str, Any], *, event_id: str | None = ...) -> object: ...


def simple_http_event_listener(
    config: Mapping[str, Any], daemon: bool = True
) -> Callable[[EventCallback], ListeningCallback]:
    """Call the decorated function with the name and the data of each event that the helper daemon posts.

    With a ``secret`` in the configuration it takes only what the daemon signed with it, or with ``old_secret``, in the
    last five minutes, and each request once; anything else is refused and logged in one line.

    It listens on the URL of the configuration's one HTTP event sink, from the moment of decoration. The function is
    called in a thread of the server, for one event at a time. When it returns, the event is done; when it raises, the
    daemon delivers the event again later. An event is called again, too, if the application ends between the
    function's return and the daemon's note of it, so the function must bear repeats. If it has a parameter
    ``event_id``, too, it is given the event's id, which is the same each time; None if a person posted without one.

    :param config: the whole configuration, as ``Configurator.config`` has it.
    :param daemon: False keeps the application from ending until ``.server.stop()`` of the decorated function is
        called.
    :raises ConfigurationError: there is no HTTP event sink, or more than one, or its URL cannot be listened on.
    """
    name, options = _http_sink(config)
    host, port, path = _listening_point(name, options)
    keys = _signing_keys(name, options)

    def decorate(callback: EventCallback) -> ListeningCallback:
        app = plain_app()
        receiver = _Receiver(callback, keys)
        app.add_url_rule(path, view_func=receiver.receive, methods=["POST"], provide_automatic_options=False)
        server = BackgroundHTTPServer(
            app, host, port, "simple_http_event_listener", daemon=daemon, max_body_bytes=MAX_BODY_BYTES
        )

        @functools.wraps(callback)
        def listening(*args: Any, **named: Any) -> object:
            return callback(*args, **named)

        server.start()
        listening.server = server  # type: ignore[attr-defined]  # what ListeningCallback adds to a function
        return cast("ListeningCallback", listening)

    return decorate


# --- Configuration ------------------------------------------------------------------------------------------


def _listening_point(name: str, options: Mapping[str, Any]) -> tuple[str, int, str]:
    """Find host, port and path to listen on."""
    url = options.get("url")
    if not isinstance(url, str):
        raise ConfigurationError(f"events.{name}.url must be a URL such as http://localhost:10000")
    try:
        parts = check_url(url)
    except ValueError as error:
        raise ConfigurationError(f"events.{name}.url {error}") from None
    if parts.scheme != "http":
        raise ConfigurationError(
            f"events.{name}.url is https, which simple_http_event_listener does not speak; "
            "use an http URL, or receive the events in your web server"
        )
    path = unquote(parts.path) or "/"
    if "<" in path:
        # It would be a placeholder in the rules of Flask.
        raise ConfigurationError(f"events.{name}.url has a < in its path; use a path without it")
    return parts.hostname or "", 80 if parts.port is None else parts.port, path


def _signing_keys(name: str, options: Mapping[str, Any]) -> list[bytes]:
    """Find what events may be signed with, nothing if they are not signed."""
    keys = []
    for option in ("secret", "old_secret"):
        secret = options.get(option)
        if secret is not None:
            try:
                keys.append(parse_secret(str(secret)))
            except ValueError as error:
                raise ConfigurationError(f"events.{name}.{option}: {error}") from None
    return keys


def _http_sink(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Find the name and the options of the one HTTP event sink."""
    events = config.get("events") or {}
    if not isinstance(events, Mapping):
        raise ConfigurationError(f"events must be a mapping of event sinks, not {type(events).__name__}")
    sinks = {name: options for name, options in events.items() if _is_http_sink(name, options)}
    if not sinks:
        raise ConfigurationError(
            "simple_http_event_listener needs an event sink of kind http in the configuration; add one below events: "
            "{my_app: {name: http, url: http://localhost:10000}}"
        )
    if len(sinks) > 1:
        names = ", ".join(str(name) for name in sinks)
        raise ConfigurationError(
            f"simple_http_event_listener needs exactly one event sink of kind http in the configuration, not {names}; "
            "give it a configuration with one of them"
        )
    return sinks.popitem()


def _is_http_sink(name: object, options: object) -> bool:
    return isinstance(options, Mapping) and (options.get("name") or options.get("class") or name) in _SINK_NAMES


# --- Requests -----------------------------------------------------------------------------------------------


class _Receiver:
    """Turns requests into calls of the application's function, once for each event."""

    def __init__(self, callback: EventCallback, keys: Sequence[bytes] = (), *, clock: Clock = utc_now) -> None:
        """
        :param keys: one of them must have signed a request; none if requests are not signed.
        """
        self._callback = callback
        self._takes_id = has_parameter(callback, "event_id")
        self._keys = keys
        self._clock = clock
        self._calling = threading.Lock()
        self._ids_lock = threading.Lock()
        self._under_way: set[str] = set()
        #: When the request was signed that was handled, in seconds since 1970, by the event's id; the oldest first.
        self._handled: dict[str, int] = {}

    def receive(self) -> Response:
        """Answer one request; 2xx says that the event was handled now or before."""
        try:
            answer = self._receive()
        except SignatureError as error:
            answer = sentence(str(error), 401)
        if 400 <= answer.status_code < 500:
            logger.warning("a request was refused: %s", answer.get_data(as_text=True).strip())
        return answer

    def _receive(self) -> Response:
        now = self._clock().timestamp()
        # Before anything else is made of it.
        signed = verify(self._keys, dict(request.headers), request.get_data(), now=now) if self._keys else None
        event_name, event_id, text = (_field(name) for name in ("event_name", "event_id", "data"))
        if event_name is None or not 0 < len(event_name) <= MAX_NAME_LENGTH or text is None:
            return sentence(
                f"Post one form field event_name, of at most {MAX_NAME_LENGTH} characters, and one data.", 400
            )
        if (event_id is None and "event_id" in request.form) or len(event_id or "") > MAX_NAME_LENGTH:
            return sentence(f"Post at most one event_id, of at most {MAX_NAME_LENGTH} characters.", 400)
        if signed is not None and signed.event_id != event_id:
            return sentence("The field event_id and the header webhook-id differ.", 400)
        try:
            data = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return sentence("The field data is not JSON.", 400)
        if not isinstance(data, dict):
            return sentence("The field data is not a JSON object.", 400)
        if not event_id:
            # It comes from a person with curl: there is no telling repeats.
            return self._call(event_name, event_id, data)
        return self._call_once(event_name, event_id, data, signed)

    def _call_once(self, event_name: str, event_id: str, data: dict[str, Any], signed: Signed | None) -> Response:
        signed_at = int(self._clock().timestamp()) if signed is None else signed.timestamp
        with self._ids_lock:
            if event_id in self._handled:
                if signed is not None and signed_at <= self._handled[event_id]:
                    # The daemon signs each attempt anew: this is a copy of a request that was handled.
                    return sentence("The request was handled before.", 409)
                return sentence("The event was handled before.")
            if event_id in self._under_way:
                # The daemon lost patience with a slow function: no second call beside the first one.
                return sentence("The event is still being handled.", 503)
            self._under_way.add(event_id)
        answer = self._call(event_name, event_id, data)
        with self._ids_lock:
            self._under_way.discard(event_id)
            if answer.status_code == 200:
                self._handled[event_id] = signed_at
                self._forget_some(signed is not None)
        return answer

    def _forget_some(self, is_signed: bool) -> None:
        """Forget the oldest of too many; what is signed only when a copy of it would be refused for its age."""
        while len(self._handled) > REMEMBERED_EVENTS:
            oldest = next(iter(self._handled))
            if is_signed and self._handled[oldest] + TOLERANCE_SECONDS >= self._clock().timestamp():
                return
            del self._handled[oldest]

    def _call(self, event_name: str, event_id: str | None, data: dict[str, Any]) -> Response:
        named = {"event_id": event_id} if self._takes_id else {}
        try:
            with self._calling:
                self._callback(event_name, data, **named)
        except BaseException:  # with sys.exit() the connection would be left without an answer
            logger.exception("handling event %s, id %s, failed", shortened(event_name), shortened(event_id or ""))
            return sentence("The application failed to handle the event; its log tells why.", 500)
        return sentence("OK")


def _field(name: str) -> str | None:
    """Return the one form field of that name, None if there is no such field or more than one."""
    values = request.form.getlist(name)
    return values[0] if len(values) == 1 else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
