"""A server on a real socket that answers as a daemon whose wallet has one deposit, until a test spoils its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What is sent: HTTP status, content type, and body; an empty body hangs up without an answer.
Answer = tuple[int, str, bytes]

TXID, TIP, BLOCK, CHECKPOINT = (f"{number:064x}" for number in (1, 2, 3, 4))

SECRET = "s3cret-password"


class Refused(Exception):
    """The daemon refuses with a code."""


class BadNode:
    """One deposit of half a coin, three blocks deep.

    :ivar spoil_result: makes another result of one, given the method.
    :ivar spoil_answer: makes another HTTP answer of one, given the methods that were called.
    :ivar asked: the methods that were called.
    """

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[str] = []
        self.heal()
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                node._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://user:{SECRET}@127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def heal(self) -> None:
        """Answer as a good daemon from now on."""
        self.spoil_result: Callable[[str, Any], Any] = lambda method, result: result
        self.spoil_answer: Callable[[list[str], Answer], Answer] = lambda methods, answer: answer

    def spoil_row(self, **facts: object) -> None:
        """Tell other facts of the deposit, in listings and when asked for it; ``...`` leaves one out."""

        def spoil(method: str, result: Any) -> Any:
            if method == "listsinceblock":
                rows = [_changed(row, facts) for row in result["transactions"]]
                return {**result, "transactions": rows}
            if method == "gettransaction":
                details = [_changed(row, facts) for row in result["details"]]
                top = {key: fact for key, fact in facts.items() if key in result}
                return _changed({**result, "details": details}, top)
            return result

        self.spoil_result = spoil

    def result(self, method: str) -> Any:
        """Return what a good daemon answers."""
        place = {"confirmations": 3, "blockhash": BLOCK, "txid": TXID}
        output = {"address": self.address, "category": "receive", "amount": 0.5, "vout": 0}
        return {
            "getblockchaininfo": {
                "chain": "regtest",
                "blocks": 10,
                "headers": 10,
                "bestblockhash": TIP,
                "initialblockdownload": False,
                "mediantime": 0,
            },
            "listsinceblock": {
                "transactions": [{**output, **place}],
                "removed": [],
                "lastblock": CHECKPOINT,
            },
            "gettransaction": {"amount": 0.5, **place, "details": [output]},
            "getbalances": {"mine": {"trusted": 0.5, "untrusted_pending": 0}},
            "getwalletinfo": {"walletname": ""},
            "help": "\n".join(
                f"{name} ..."
                for name in (
                    "listsinceblock", "gettransaction", "fundrawtransaction", "lockunspent", "sendrawtransaction",
                    "signrawtransactionwithwallet", "getbalances", "testmempoolaccept",
                )
            ),
        }[method]  # fmt: skip

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        calls = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        batch = isinstance(calls, list)
        replies = [self._reply(call) for call in (calls if batch else [calls])]
        methods = [call["method"] for call in (calls if batch else [calls])]
        self.asked += methods
        body = json.dumps(replies if batch else replies[0], default=_number).encode()
        status, content_type, body = self.spoil_answer(methods, (200, "application/json", body))
        if not body:
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _reply(self, call: Any) -> dict[str, Any]:
        try:
            result = self.spoil_result(call["method"], self.result(call["method"]))
        except Refused as error:
            code, message = error.args
            return {"result": None, "error": {"code": code, "message": message}, "id": call["id"]}
        return {"result": result, "error": None, "id": call["id"]}


def _changed(row: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**row, **facts}.items() if value is not ...}


def _number(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(value)
