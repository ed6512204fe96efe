"""The channel ``blockio_webhook``: the service posts to a URL of ours, which it learns when we start.

Whoever knows the URL can post to it, so its path is a secret, and what is posted is only a hint.
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from flask import Response, request

from cryptoassets_blockio import answers
from cryptoassets_blockio.client import BlockIoClient, ServiceRefusal
from cryptoassets_blockio.notifications import NotUnderstood, Reader, blockio_backend
from cryptoassets_blockio.options import BlockIoWebhookOptions
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.errors import BackendError, ConfigurationError
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, sentence
from cryptoassets_core.walletnotify.base import NEW_BLOCK, IncomingTransactionRunnable, Notify

logger = logging.getLogger(__name__)

#: The largest notification that is taken, as it always was.
MAX_BODY_BYTES: Final = 1024 * 1024

#: Random characters of the path, at least.
MIN_SECRET_LENGTH: Final = 16

#: How often it is seen to that the service still posts: after failures it disables a webhook by itself.
LOOK_SECONDS: Final = 600.0

FIRST_PAUSE_SECONDS: Final = 1.0


class BlockIoWebhookHandler(IncomingTransactionRunnable):
    """Takes what the service posts; registers its URL at start and removes it at stop.

    :ivar server: the HTTP server behind the reverse proxy.
    """

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
        self._reader = Reader("")
        self._trouble = "it is not registered yet"
        self._client: BlockIoClient | None = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    def attach(self, backend: CoinBackend) -> None:
        """Take the account and its network from the backend."""
        blockio = blockio_backend(backend, "blockio_webhook")
        self._client = blockio.client
        self._reader = Reader(blockio.service_network)

    @property
    def stats(self) -> dict[str, int]:
        """Counts of messages, by what became of them."""
        return dict(self._reader.stats)

    @property
    def ready(self) -> bool:
        """Whether the service posts to us."""
        return self._ready.is_set()

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until the service posts to us.

        :param timeout: seconds; None waits as long as it takes.
        :returns: whether it does.
        """
        return self._ready.wait(timeout)

    def start(self) -> None:
        """Listen, and register; a service that does not answer now is asked again and again."""
        if self._client is None:
            raise ConfigurationError("blockio_webhook was not given a backend whose account it can listen to")
        # First: the service posts a ping before it takes the URL.
        self.server.start()
        self._stopping.clear()
        self._thread = threading.Thread(
            target=self._keep_registered, args=(self._client,), name="block.io webhook registration", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
        if self._client is not None and self._ready.is_set():
            self._ready.clear()
            self._remove(self._client)
        self.server.stop()

    def is_alive(self) -> bool:
        return self.server.is_alive() and self._thread is not None and self._thread.is_alive()

    def problem(self) -> str | None:
        """Say why the service does not post to us now."""
        return None if self.ready else f"block.io does not post to our webhook: {self._trouble}"

    # --- What is posted -------------------------------------------------------------------------------------

    def _receive(self, _: str = "") -> Response:
        if not hmac.compare_digest(request.path.encode(), self._path.encode()):
            # The same as for every path that does not exist.
            return sentence("There is nothing here.", 404)
        try:
            txid = self._reader.read(request.get_data())
        except NotUnderstood as reason:
            logger.warning("something posted to block.io's webhook is passed over: %s", reason)
            return sentence("This is no notification.", 400)
        if txid is not None:
            logger.debug("block.io's webhook tells of %s", txid)
            self.notify(txid)
        return sentence("OK")

    # --- Registration ---------------------------------------------------------------------------------------

    def _keep_registered(self, client: BlockIoClient) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._register(client)
            except BackendError as error:
                self._trouble = self._without_url(error)
                logger.warning("block.io's webhook is not registered, it is tried again: %s", self._trouble)
                self._stopping.wait(pause)
                pause = min(pause * 2, LOOK_SECONDS)
            except Exception:
                self._trouble = "unexpected trouble, see the log"
                logger.exception("block.io's webhook met unexpected trouble; it is tried again")
                self._stopping.wait(LOOK_SECONDS)
            else:
                pause = FIRST_PAUSE_SECONDS
                self._stopping.wait(LOOK_SECONDS)

    def _register(self, client: BlockIoClient) -> None:
        """Have the service post to us; an earlier registration of the same URL is kept, so that nothing is missed."""
        ours = self._ours(client)
        is_new, is_disabled = not ours, bool(ours) and ours[0].get("enabled") is False
        if is_new or is_disabled:
            self._ready.clear()
        if is_new:
            client.call("create_notification", type="account", url=self._url)
        elif is_disabled:
            client.call("enable_notification", notification_id=ours[0].get("notification_id"))
        elif self.ready:
            return
        self._ready.set()
        logger.info("block.io posts to our webhook")
        self.notify(NEW_BLOCK)  # what was not posted meanwhile

    def _remove(self, client: BlockIoClient) -> None:
        try:
            for hook in self._ours(client):
                client.call("delete_notification", notification_id=hook.get("notification_id"))
        except BackendError as error:
            logger.warning("block.io's webhook stays registered: %s", self._without_url(error))

    def _ours(self, client: BlockIoClient) -> list[Mapping[str, object]]:
        return registrations(client, self._url)

    def _without_url(self, error: BackendError) -> str:
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
