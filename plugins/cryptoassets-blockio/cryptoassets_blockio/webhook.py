"""The channel ``blockio_webhook``: the service posts to a URL of ours, which it learns when we start.

Whoever knows the URL can post to it, so its path is a secret, and what is posted is only a hint.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from flask import Response, request

from cryptoassets_blockio import answers
from cryptoassets_blockio.channel import ServiceChannel
from cryptoassets_blockio.client import BlockIoClient, ServiceRefusal
from cryptoassets_blockio.options import BlockIoWebhookOptions
from cryptoassets_core.errors import BackendError, ConfigurationError
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, sentence
from cryptoassets_core.walletnotify.base import Notify

logger = logging.getLogger(__name__)

#: The largest notification that is taken, as it always was.
MAX_BODY_BYTES: Final = 1024 * 1024

#: Random characters of the path, at least.
MIN_SECRET_LENGTH: Final = 16

#: How often it is seen to that the service still posts: after failures it disables a webhook by itself.
LOOK_SECONDS: Final = 600.0

#: How long a call under way is waited for when we stop.
STOP_SECONDS: Final = 10.0


class BlockIoWebhookHandler(ServiceChannel):
    """Takes what the service posts; registers its URL at start and removes it at stop.

    :ivar server: the HTTP server behind the reverse proxy.
    """

    channel = "blockio_webhook"
    complaint = "block.io does not post to our webhook"
    foreseen = (BackendError,)

    def __init__(self, options: BlockIoWebhookOptions, notify: Notify) -> None:
        """Take the options; nothing is opened yet.

        :raises ConfigurationError: the URL has no secret path.
        """
        super().__init__(options, notify)
        self._url = options.url.get_secret_value()
        self._path = _secret_path(self._url)
        app = plain_app()
        app.add_url_rule("/", view_func=self._receive, methods=["POST"], provide_automatic_options=False)
        app.add_url_rule("/<path:_>", view_func=self._receive, methods=["POST"], provide_automatic_options=False)
        self.server = BackgroundHTTPServer(
            app, options.ip, options.port, "block.io webhook", max_body_bytes=MAX_BODY_BYTES
        )

    def start(self) -> None:
        """Listen, and register; a service that does not answer now is asked again and again."""
        self._account()
        # First: the service posts a ping before it takes the URL.
        self.server.start()
        self._begin()

    def stop(self) -> None:
        self._end(STOP_SECONDS)
        if self.ready:
            self._ready.clear()
            self._remove()
        self.server.stop()

    def is_alive(self) -> bool:
        return self.server.is_alive() and super().is_alive()

    # --- What is posted -------------------------------------------------------------------------------------

    def _receive(self, _: str = "") -> Response:
        if not hmac.compare_digest(request.path.encode(), self._path.encode()):
            # The same as for every path that does not exist; it may be the secret one but for a letter.
            logger.info("a request to another path than that of block.io's webhook was refused")
            return sentence("There is nothing here.", 404)
        if self._take(request.get_data()) is None:
            return sentence("This is no notification.", 400)
        return sentence("OK")

    # --- Registration ---------------------------------------------------------------------------------------

    def _attempt(self) -> float:
        """Have the service post to us; an earlier registration of the same URL is kept, so that nothing is missed."""
        client = self._account().client
        ours = registrations(client, self._url)
        is_new, is_disabled = not ours, bool(ours) and ours[0].get("enabled") is False
        if is_new or is_disabled:
            self._ready.clear()
        if is_new:
            client.call("create_notification", type="account", url=self._url)
        elif is_disabled:
            client.call("enable_notification", notification_id=ours[0].get("notification_id"))
        if not self.ready:
            self._is_told()
        return LOOK_SECONDS

    def _remove(self) -> None:
        client = self._account().client
        try:
            for hook in registrations(client, self._url):
                client.call("delete_notification", notification_id=hook.get("notification_id"))
        except BackendError as error:
            logger.warning("block.io's webhook stays registered: %s", self._reason(error))

    def _reason(self, error: Exception) -> str:
        return str(error).replace(self._url, "the webhook's URL").replace(self._path, "***")


def registrations(client: BlockIoClient, url: str) -> list[Mapping[str, object]]:
    """Return what the service has registered for a URL.

    :raises BackendError: it cannot tell.
    """
    try:
        data = client.call_for("list_notifications")
    except ServiceRefusal:
        # To have none is a failure there.
        return []
    rows = data.get("notifications") if isinstance(data, dict) else data
    return [hook for hook in answers.mappings(rows, "list_notifications") if hook.get("url") == url]


def _secret_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("the option url of blockio_webhook must be the https:// URL that block.io posts to")
    if len(parts.path.rpartition("/")[2] or parts.path.strip("/")) < MIN_SECRET_LENGTH:
        raise ConfigurationError(
            f"the path of the option url of blockio_webhook must end with at least {MIN_SECRET_LENGTH} random "
            "characters; make some with: openssl rand -hex 16"
        )
    return parts.path
