"""What a hosted wallet costs: requests, and our own time beside the service's.

``python benchmarks/blockio.py [--deposits N]``; the service is its stand-in, in the same process.
"""

from __future__ import annotations

import argparse
import threading
import time
from decimal import Decimal

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.options import BlockIoOptions, BlockIoWebsocketOptions
from cryptoassets_blockio.testing import Account, StandIn, fund
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_btc.coin import BITCOIN

IDLE_SECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deposits", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="see that it runs; its figures mean nothing then")
    arguments = parser.parse_args()
    deposits = 20 if arguments.quick else arguments.deposits
    with StandIn() as service:
        account = service.open_account(BITCOIN)
        options = {"api_key": account.api_key, "pin": account.pin, "url": service.url}
        backend = BlockIoBackend(BITCOIN, "test", BlockIoOptions.model_validate(options))
        fund(account, Decimal(100))
        following(service, account, backend, deposits)
        sending(service, account, backend)
        idle_listener(service, backend, 1 if arguments.quick else IDLE_SECONDS)
        backend.close()


def following(service: StandIn, account: Account, backend: BlockIoBackend, deposits: int) -> None:
    address = backend.create_address("customer")
    for _ in range(deposits):
        account.pay([(address, Decimal("0.01"))])
    account.mine(15)
    with measured(service, f"{deposits} deposits listed"):
        checkpoint = backend.list_since(None, depth=15).checkpoint
    with measured(service, "nothing new"):
        backend.get_tip()
    account.mine()
    with measured(service, "a new block"):
        backend.list_since(checkpoint, depth=15)
    account.pay([(address, Decimal("0.01"))])
    with measured(service, "a new deposit"):
        backend.list_since(checkpoint, depth=15)


def sending(service: StandIn, account: Account, backend: BlockIoBackend) -> None:
    payees = {account.outside_address(number): Decimal("0.01") for number in range(100)}
    with measured(service, "100 withdrawals prepared, checked and signed"):
        prepared = backend.prepare(payees)
    with measured(service, "submitted"):
        backend.submit(prepared)


def idle_listener(service: StandIn, backend: BlockIoBackend, seconds: int) -> None:
    handler = BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=service.websocket_url), lambda _txid: None)
    handler.attach(backend)
    handler.start()
    handler.wait_until_ready(10)
    spent = time.process_time()
    threading.Event().wait(seconds)
    share = (time.process_time() - spent) / seconds
    handler.stop()
    print(f"{'idle listener, the stand-in included':48} {share:8.2%} of a core")


class measured:  # noqa: N801 - it reads like the functions around it
    """Prints how many requests a step took, and how long."""

    def __init__(self, service: StandIn, what: str) -> None:
        self._service = service
        self._what = what

    def __enter__(self) -> None:
        self._requests = self._service.calls.total()
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        took = time.perf_counter() - self._began
        requests = self._service.calls.total() - self._requests
        print(f"{self._what:48} {requests:4} requests {took * 1000:8.0f} ms")


if __name__ == "__main__":
    main()
