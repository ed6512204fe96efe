"""One websocket of the stand-in, with the frames of websocket-client."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

from websocket import ABNF, WebSocketException
from websocket._abnf import frame_buffer

if TYPE_CHECKING:
    from cryptoassets_blockio.testing.standin import StandIn


class Peer:
    """A client of the websocket, from its greeting to its end.

    :ivar gone: set when it is told of nothing any more.
    """

    def __init__(self, stand_in: StandIn, connection: socket.socket) -> None:
        self.gone = threading.Event()
        self._stand_in = stand_in
        self._connection = connection
        self._sending = threading.Lock()
        self._frames = frame_buffer(self._receive, skip_utf8_validation=True)

    def serve(self) -> None:
        """Greet, take subscriptions and pass on events until the client goes away."""
        self._stand_in.peers.add(self)
        try:
            self.send({"status": "success"})
            while True:
                frame = self._frames.recv_frame()
                if frame.opcode == ABNF.OPCODE_TEXT:
                    self._take(json.loads(frame.data))
                elif frame.opcode == ABNF.OPCODE_PING:
                    self._write(ABNF.create_frame(frame.data, ABNF.OPCODE_PONG))
                elif frame.opcode == ABNF.OPCODE_CLOSE:
                    self._write(ABNF.create_frame(frame.data, ABNF.OPCODE_CLOSE))
                    return
        except (OSError, WebSocketException, ValueError):
            return
        finally:
            self._stand_in.peers.discard(self)
            self._stand_in.hooks.unsubscribe(self)
            self.gone.set()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self.send_text(json.dumps(message))

    def send_text(self, text: str | bytes) -> None:
        """Send whatever a test likes as a message."""
        frame = ABNF.create_frame("", ABNF.OPCODE_TEXT)
        frame.data = text.encode() if isinstance(text, str) else text
        self._write(frame)

    def drop(self) -> None:
        """Close the connection without a word."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("type") != "account":
            return
        account = self._stand_in.accounts.get(message.get("api_key", ""))
        if account is None or account.behaviour.refuses_subscriptions:
            self.send({"status": "fail", "data": {"error_message": f"Invalid API Key {message.get('api_key')}."}})
            return
        self._stand_in.hooks.subscribe(account, self, self.send)
        self._stand_in.note("subscribe")
        if account.behaviour.answers_subscriptions:
            self.send({"status": "success"})

    def _write(self, frame: ABNF) -> None:
        # Only clients mask what they send.
        frame.mask_value = 0
        self.send_raw(frame.format())

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need be no frame."""
        with self._sending:
            self._connection.sendall(data)

    def _receive(self, length: int) -> bytes:
        data = self._connection.recv(length)
        if not data:
            raise ConnectionResetError
        return data
