"""Events to the application over HTTP: one POST an event."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import requests
import urllib3
from pydantic import ConfigDict, Field, field_validator

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions

#: An answer is read up to this size so that its connection can be used again; nobody looks at it.
MAX_ANSWER_BYTES: Final = 1024

_WHAT_URL: Final = "must be a URL such as http://localhost:10000 or https://example.com/events"


def check_url(url: str) -> SplitResult:
    """Take a URL apart that events can be posted to.

    :raises ValueError: it is none; the message does not repeat it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        # What requests would refuse at each delivery is better refused once, at the start.
        requests.Request("POST", url).prepare()
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
        raise ValueError(_WHAT_URL) from None
    if not usable or " " in url or not url.isprintable():
        raise ValueError(_WHAT_URL)
    return parts


def masked_url(url: str) -> str:
    """Write a URL for messages: without user name, password, query and fragment, any of which may be a secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


class HTTPEventOptions(EventSinkOptions):
    """Where events are posted to."""

    # A refused URL may hold a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    #: Takes the POST; ``https://user:password@host/path`` sends HTTP basic authentication.
    url: str = Field(repr=False)
    #: How long to wait for the connection, and then for the answer.
    timeout_seconds: float = Field(default=10, gt=0, le=300)

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        check_url(url)
        return url


class HTTPEventHandler(EventSink):
    """Posts the form fields ``event_name``, ``event_id`` and ``data``, a JSON object; any answer 2xx takes the event.

    It goes straight to the configured URL: no redirect is followed, and neither proxies nor passwords are taken from
    the environment of the process.
    """

    def __init__(self, name: str, options: HTTPEventOptions) -> None:
        super().__init__(name, options)
        self._url = options.url
        self._timeout_seconds = options.timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False

    def deliver(self, event: Event) -> None:
        try:
            data = json.dumps(dict(event.data), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EventDeliveryError(f"event {event.id} cannot be written as JSON for {self._where}: {error}") from None
        status = self._post({"event_name": event.name, "event_id": event.id, "data": data})
        if 300 <= status < 400:
            raise EventDeliveryError(
                f"{self._where} answered event {event.id} with redirect {status}, which is not followed; "
                "configure the final URL"
            )
        if not 200 <= status < 300:
            raise EventDeliveryError(f"{self._where} answered event {event.id} with status {status}")

    def close(self) -> None:
        self._session.close()

    @property
    def _where(self) -> str:
        return f"event sink {self.name} at {masked_url(self._url)}"

    def _post(self, fields: dict[str, str]) -> int:
        """Post and return the status; exceptions of requests stay inside, for their messages show the query."""
        try:
            with self._session.post(
                self._url, data=fields, timeout=self._timeout_seconds, allow_redirects=False, stream=True
            ) as response:
                _discard(response)
                return response.status_code
        except requests.Timeout:
            reason = f"there was no answer in {self._timeout_seconds:g} seconds"
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            reason = _cause(error)
        raise EventDeliveryError(f"{self._where} cannot be reached: {reason}")


def _discard(response: requests.Response) -> None:
    """Read a short answer to its end; the event is taken or not by its status alone, whatever happens here."""
    try:
        if int(response.headers.get("Content-Length", MAX_ANSWER_BYTES + 1)) <= MAX_ANSWER_BYTES:
            response.raw.read(MAX_ANSWER_BYTES)
    except (OSError, ValueError, urllib3.exceptions.HTTPError):
        response.close()


def _cause(error: BaseException) -> str:
    """Find the words of the operating system or of TLS below the layers of requests, which repeat the URL."""
    words = None
    innermost, below = error, error.__cause__ or error.__context__
    while below is not None:
        innermost, below = below, below.__cause__ or below.__context__
        words = innermost.strerror if isinstance(innermost, OSError) and innermost.strerror else words
    return words or type(innermost).__name__
