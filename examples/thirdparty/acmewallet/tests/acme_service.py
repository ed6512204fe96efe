"""The service, played by the simulated network of cryptoassets-simnet behind an HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from acmewallet.backend import AcmeBackend, AcmeOptions

from cryptoassets_btc import BITCOIN
from cryptoassets_core.amounts import from_minor_units, to_minor_units
from cryptoassets_core.backend.base import Txid, WalletTransaction
from cryptoassets_core.coin.description import Network
from cryptoassets_core.errors import BackendRejectedError, InsufficientHotWalletFunds, RecipientRejectedError
from cryptoassets_core.testing import BackendWorld
from cryptoassets_simnet.testing import SimnetWorld


def minor(amount: Decimal) -> int:
    return to_minor_units(amount, BITCOIN.decimals)


class AcmeWorld(BackendWorld):
    """The service, its network, and a backend that talks to it."""

    def __init__(self, path: Path) -> None:
        self._outside = SimnetWorld(path, BITCOIN)
        self._wallet = self._outside.backend
        self._losing = False
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._start()
        self.backend = self._open("regtest")

    def outside_address(self) -> str:
        return self._outside.outside_address()

    def pay(self, outputs: Sequence[tuple[str, Decimal]]) -> Txid:
        return self._outside.pay(outputs)

    def mine(self, blocks: int = 1) -> None:
        self._outside.mine(blocks)

    def reorganise(self, depth: int) -> None:
        self._outside.reorganise(depth)

    def double_spend(self, txid: Txid) -> None:
        self._outside.double_spend(txid)

    def fund(self, amount: Decimal) -> None:
        self._outside.fund(amount)

    def misplaced_backend(self) -> AcmeBackend:
        return self._open("test")

    @contextmanager
    def down(self) -> Iterator[None]:
        self._stop()
        yield
        self._start()

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        self._losing = True
        yield
        self._losing = False

    def close(self) -> None:
        self._stop()
        self._outside.close()

    def _open(self, network: Network) -> AcmeBackend:
        url = f"http://127.0.0.1:{self._port}"
        return AcmeBackend(BITCOIN, network, AcmeOptions.model_validate({"url": url, "api_key": "k3y"}))

    # --- The service ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                facts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = world.answer(self.path.strip("/"), facts)
                if world._losing:
                    return
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def answer(self, method: str, facts: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        try:
            return 200, {"result": getattr(self, f"_do_{method}")(**facts)}
        except InsufficientHotWalletFunds:
            return 409, {"error": "funds"}
        except RecipientRejectedError as error:
            return 422, {"error": "recipient", "address": error.address}
        except BackendRejectedError as error:
            return 400, {"error": str(error)}

    def _do_network(self) -> str:
        return "regtest"

    def _do_address(self, label: str) -> str:
        return self._wallet.create_address(label)

    def _do_tip(self) -> str:
        return self._wallet.get_tip()

    def _do_balance(self, confirmations: int) -> int:
        return minor(self._wallet.get_backend_balance(confirmations))

    def _do_since(self, checkpoint: Any, depth: int) -> dict[str, Any]:
        changes = self._wallet.list_since(checkpoint, depth=depth)
        rows = [self._row(each) for each in changes.transactions]
        return {"tip": changes.tip, "checkpoint": changes.checkpoint, "transactions": rows}

    def _do_transactions(self, txids: Sequence[Txid]) -> list[dict[str, Any]]:
        return [self._row(each) for each in self._wallet.get_transactions(txids).values()]

    def _do_send(self, recipients: Sequence[Mapping[str, Any]], label: str) -> dict[str, Any]:
        payments = {each["address"]: from_minor_units(each["amount"], BITCOIN.decimals) for each in recipients}
        prepared = self._wallet.prepare(payments)
        return {"txid": self._wallet.submit(prepared), "fee": minor(prepared.fee)}

    def _row(self, transaction: WalletTransaction) -> dict[str, Any]:
        return {
            "txid": transaction.txid,
            "confirmations": transaction.confirmations,
            "block": transaction.block_hash,
            "received": [
                {"address": each.address, "amount": minor(each.amount), "vout": each.vout}
                for each in transaction.received
            ],
            "fee": None if transaction.fee is None else minor(transaction.fee),
            "sent": minor(transaction.sent),
        }
