"""Wallet notification over HTTP: the node runs ``curl --data "txid=%s" http://127.0.0.1:28882/``.

With ``--data "block=%s"`` it tells of a new block in the same way.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from flask import Response, request
from pydantic import Field

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, sentence, shortened
from cryptoassets_core.walletnotify.base import (
    NEW_BLOCK,
    IncomingTransactionRunnable,
    Notify,
    WalletNotifyOptions,
)

logger = logging.getLogger(__name__)

#: A notification is some 70 bytes.
MAX_BODY_BYTES: Final = 4096

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")


class HTTPWalletNotifyOptions(WalletNotifyOptions):
    """Where notifications are taken. Nobody else needs to reach it: keep it on this machine."""

    #: Address to listen on.
    ip: str = "127.0.0.1"
    #: Port to listen on, another one for each coin; 0 picks a free one.
    port: int = Field(default=28882, ge=0, le=65535)


class HTTPWalletNotifyHandler(IncomingTransactionRunnable):
    """Takes ``POST /`` with the form field ``txid``, or ``block``.

    :ivar server: the HTTP server; its ``url`` is where to post.
    """

    def __init__(self, options: HTTPWalletNotifyOptions, notify: Notify) -> None:
        super().__init__(options, notify)
        app = plain_app()
        app.add_url_rule("/", view_func=self._receive, methods=["POST"], provide_automatic_options=False)
        self.server = BackgroundHTTPServer(
            app, options.ip, options.port, "HTTP walletnotify", max_body_bytes=MAX_BODY_BYTES
        )

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def is_alive(self) -> bool:
        return self.server.is_alive()

    def _receive(self) -> Response:
        hints = [(name, value) for name in ("txid", "block") for value in request.form.getlist(name)]
        if len(hints) != 1:
            logger.warning("HTTP walletnotify refused a request with %s hints", len(hints))
            return sentence("Post exactly one form field, named txid or block.", 400)
        ((name, value),) = hints
        if not _HASH.fullmatch(value):
            logger.warning("HTTP walletnotify refused the %s %s", name, shortened(value))
            return sentence("A txid, or a block, is 64 hexadecimal digits.", 400)
        logger.debug("HTTP walletnotify for %s %s", name, value)
        self.notify(Txid(value.lower()) if name == "txid" else NEW_BLOCK)
        return sentence("OK")
