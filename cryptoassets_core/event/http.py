"""Events to the application over HTTP: one POST an event."""

from __future__ import annotations

import base64
from http.client import HTTPException
from typing import Annotated, Final
from urllib.parse import SplitResult, unquote, urlencode, urlsplit, urlunsplit

import requests
import urllib3
from pydantic import AfterValidator, ConfigDict, Field, SecretStr, field_validator

from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_core.event.httppost import Poster
from cryptoassets_core.event.signing import parse_secret, sign

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


def _check_secret(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        parse_secret(secret.get_secret_value())
    return secret


#: ``whsec_`` and base64, as :py:func:`~cryptoassets_core.event.signing.parse_secret` takes it.
SigningSecret = Annotated[SecretStr | None, AfterValidator(_check_secret)]


class HTTPEventOptions(EventSinkOptions):
    """Where events are posted to."""

    # A refused URL may hold a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    #: Takes the POST; ``https://user:password@host/path`` sends HTTP basic authentication.
    url: str = Field(repr=False)
    #: How long a post may take in all, from the connection to the end of the answer.
    timeout_seconds: float = Field(default=10, gt=0, le=300)
    #: How many events may be under way at once; those of one subject never are.
    connections: int = Field(default=1, ge=1, le=64)
    #: Events are signed with it; None to sign nothing.
    secret: SigningSecret = None
    #: The secret before, as long as the receiver may still use it: events are signed with both.
    old_secret: SigningSecret = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        check_url(url)
        return url

    def signing_keys(self) -> list[bytes]:
        """Return the keys to sign with, the current one first; none if nothing is signed."""
        secrets = [secret for secret in (self.secret, self.old_secret) if secret is not None]
        return [parse_secret(secret.get_secret_value()) for secret in secrets]


class HTTPEventHandler(EventSink):
    """Posts the form fields ``event_name``, ``event_id`` and ``data``, a JSON object; any answer 2xx takes the event.

    It goes straight to the configured URL: no redirect is followed, and neither proxies nor passwords are taken from
    the environment of the process.
    """

    def __init__(self, name: str, options: HTTPEventOptions, *, clock: Clock = utc_now) -> None:
        super().__init__(name, options)
        self.concurrency = options.connections
        self._shown = f"event sink {name} at {masked_url(options.url)}"
        self._timeout_seconds = options.timeout_seconds
        self._keys = options.signing_keys()
        self._clock = clock
        parts = urlsplit(options.url)
        # Encoded as browsers do it, host and path.
        url = requests.Request("POST", urlunsplit(parts._replace(netloc=_host(parts)))).prepare()
        self._headers = {"Content-Type": "application/x-www-form-urlencoded", **_authorization(parts)}
        self._poster = Poster(urlsplit(url.url or ""), url.path_url, seconds=options.timeout_seconds)

    def deliver(self, event: Event) -> None:
        fields = {"event_name": event.name, "event_id": event.id, "data": event.data_as_json()}
        status = self._post(event.id, fields)
        if 300 <= status < 400:
            raise EventDeliveryError(
                f"{self._shown} answered event {event.id} with redirect {status}, which is not followed; "
                "configure the final URL"
            )
        if not 200 <= status < 300:
            raise EventDeliveryError(f"{self._shown} answered event {event.id} with status {status}")

    def close(self) -> None:
        self._poster.close()

    def _post(self, event_id: str, fields: dict[str, str]) -> int:
        body = urlencode(fields).encode()
        headers = self._headers
        if self._keys:
            headers = headers | sign(self._keys, event_id, int(self._clock().timestamp()), body)
        try:
            return self._poster.post(body, headers)
        except TimeoutError:
            reason = f"there was no answer in {self._timeout_seconds:g} seconds"
        except (HTTPException, OSError, ValueError) as error:
            reason = _cause(error)
        raise EventDeliveryError(f"{self._shown} cannot be reached: {reason}")


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _cause(error: Exception) -> str:
    """Return the words of the operating system or of TLS; other exceptions may repeat what they were given."""
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
