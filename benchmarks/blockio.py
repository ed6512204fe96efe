"""What a hosted wallet costs: requests to the service, and processor time beside them; the service is its stand-in."""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from support.report import Goal, Measure, Section, Spread, add_options, show

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.options import BlockIoOptions, BlockIoWebsocketOptions
from cryptoassets_blockio.testing import Account, StandIn, fund
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_btc.coin import BITCOIN

#: As deep as the kernel follows.
DEPTH = 15

PAYMENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    deposits: int
    runs: int
    windows: int
    window_seconds: float


FULL = Scale(deposits=1000, runs=5, windows=6, window_seconds=12)
QUICK = Scale(deposits=20, runs=1, windows=1, window_seconds=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    with StandIn() as service:
        account = service.open_account(BITCOIN)
        given = {"api_key": account.api_key, "pin": account.pin, "url": service.url}
        backend = BlockIoBackend(BITCOIN, "test", BlockIoOptions.model_validate(given))
        fund(account, Decimal(100))
        sections = [
            Section("Following deposits", following(account, backend, scale)),
            Section("Sending", sending(account, backend, scale)),
            Section("Listening", [idle_listener(service, backend, scale)]),
        ]
        backend.close()
    show(sections, as_json=options.json)


def following(account: Account, backend: BlockIoBackend, scale: Scale) -> list[Measure]:
    address = backend.create_address("customer")

    def deposit(number: int) -> None:
        for _ in range(number):
            account.pay([(address, PAYMENT)])

    def listed() -> object:
        return backend.list_since(None, depth=DEPTH)

    deposit(scale.deposits)
    account.mine(DEPTH)
    measures = [measured(f"{scale.deposits:,} deposits listed", backend, scale, listed)]
    deposit(100)
    account.mine(DEPTH)
    more = requests(measured("", backend, scale, listed)) - requests(measures[0])
    measures.append(Measure("100 deposits more", {"requests": more}, Goal(most=1)))
    checkpoint = backend.list_since(None, depth=DEPTH).checkpoint
    measures.append(measured("nothing new", backend, scale, backend.get_tip, Goal(most=1)))

    def known() -> object:
        return backend.list_since(checkpoint, depth=DEPTH)

    account.mine()
    measures.append(measured("a new block and all is known", backend, scale, known))
    deposit(1)
    measures.append(measured("a new deposit", backend, scale, known))
    return measures


def sending(account: Account, backend: BlockIoBackend, scale: Scale) -> list[Measure]:
    numbers = iter(range(10**6))

    def send() -> object:
        payees = {account.outside_address(next(numbers)): Decimal("0.001") for _ in range(100)}
        prepared = backend.prepare(payees)
        backend.hold(prepared)
        return backend.submit(prepared)

    backend.own_address()  # asked for once in the life of a process
    return [measured("100 withdrawals, one transaction", backend, scale, send, Goal(most=2))]


def idle_listener(service: StandIn, backend: BlockIoBackend, scale: Scale) -> Measure:
    """Take the processor time of the listener's own thread."""
    handler = BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=service.websocket_url), lambda _txid: None)
    handler.attach(backend)
    handler.start()
    if not handler.wait_until_ready(10):
        raise SystemExit("the websocket did not come about")
    (thread,) = [each for each in threading.enumerate() if each.name == handler.channel and each.ident]
    clock = time.pthread_getcpuclockid(thread.ident or 0)
    shares = []
    for _ in range(scale.windows):
        began, spent = time.monotonic(), time.clock_gettime(clock)
        threading.Event().wait(scale.window_seconds)
        shares.append(100 * (time.clock_gettime(clock) - spent) / (time.monotonic() - began))
    handler.stop()
    seconds = scale.windows * scale.window_seconds
    return Measure(f"idle listener, {seconds:g} s", {"% of a core": Spread.of(shares)}, Goal(most=1))


def measured(
    name: str, backend: BlockIoBackend, scale: Scale, work: Callable[[], object], goal: Goal | None = None
) -> Measure:
    """Do something several times: its requests, its own processor time (the service is in other threads), its time."""
    calls: list[Counter[str]] = []
    own, took = [], []
    for _ in range(scale.runs):
        before, began, spent = backend.client.stats.copy(), time.perf_counter(), time.thread_time()
        work()
        own.append((time.thread_time() - spent) * 1000)
        took.append((time.perf_counter() - began) * 1000)
        calls.append(backend.client.stats - before)
    by_method = ", ".join(f"{count} {method}" for method, count in sorted(calls[-1].items()) if method != "calls")
    return Measure(
        name,
        {
            "requests": Spread.of(each["calls"] for each in calls),
            "own ms": Spread.of(own),
            "ms": Spread.of(took),
            "which": by_method,
        },
        goal,
    )


def requests(measure: Measure) -> float:
    figure = measure.figures["requests"]
    return figure.median if isinstance(figure, Spread) else float(figure)


if __name__ == "__main__":
    main()
