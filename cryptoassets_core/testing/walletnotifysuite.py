"""The conformance suite for notification channels: a hint that comes in is passed on, and nothing ends the channel.

An author inherits it and supplies the way in::

    class TestMyChannel(WalletNotifySuite):
        @pytest.fixture
        def channel(self, tmp_path):
            with closing(MyChannel(tmp_path)) as channel:
                yield channel
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

import pytest

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.testing.suite import ConformanceSuite, needs
from cryptoassets_core.utils.danglingthreads import check_dangling_threads
from cryptoassets_core.walletnotify.base import MISSED, NEW_BLOCK, IncomingTransactionRunnable, Notify

#: Only what never comes meets it.
PATIENCE_SECONDS: Final = 30.0

#: What strangers and broken scripts send; nothing of it is a hint.
POISON: Final = {
    "nothing": b"",
    "blank": b"   ",
    "a word": b"foobar",
    "too short": b"ab" * 31,
    "no hexadecimal": b"zz" * 32,
    "100 kB": b"x" * 100_000,
    "invalid UTF-8": b"\xff\xfe\xc3(" + b"\x80" * 60,
    "NUL": b"\x00" * 64,
    "markup": b"<script>alert(1)</script>",
    "escape codes": b"\x1b[2J\x1b]0;owned\x07",
    "other digits": "٣".encode() * 64,
}


class Heard:
    """Collects what a channel passes on."""

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.hints: list[Txid] = []
        self._patience_seconds = patience_seconds
        self._news = threading.Condition()

    def take(self, hint: Txid) -> None:
        """Be the channel's receiver."""
        with self._news:
            self.hints.append(hint)
            self._news.notify_all()

    def wait_for(self, arrived: Callable[[list[Txid]], bool]) -> None:
        """Wait until what has been heard is enough."""
        with self._news:
            enough = self._news.wait_for(lambda: arrived(self.hints), self._patience_seconds)
        assert enough, f"after {self._patience_seconds:g} seconds {len(self.hints)} hints had come: {self.hints[-3:]}"


class Channel(ABC):
    """The way to a handler under test, as the node and strangers have it."""

    @abstractmethod
    def open(self, notify: Notify) -> IncomingTransactionRunnable:
        """Make a handler, not yet started, on the same way each time it is called."""

    @abstractmethod
    def tell(self, text: bytes) -> None:
        """Send a notification with this content, or as much of it as the way in can carry; the answer is ignored.

        For a txid this is what the documentation tells the node to do.
        """

    def tell_block(self, block_hash: str) -> None:
        """Send what the documentation tells the node to send for a new block (can_tell_blocks)."""
        raise NotImplementedError(f"{type(self).__name__} must define tell_block()")

    def interrupted(self) -> AbstractContextManager[None]:
        """Cut the handler off inside of a ``with``, such as by stopping the server it listens to (can_reconnect)."""
        raise NotImplementedError(f"{type(self).__name__} must define interrupted()")

    def close(self) -> None:
        """End what the way in needs."""


def txid(number: int) -> Txid:
    """Make a txid."""
    return Txid(f"{number:064x}")


class WalletNotifySuite(ConformanceSuite, defines_capabilities=True):
    """Inherit it in a class whose name begins with ``Test``; define the fixture ``channel`` in it or beside it."""

    #: A new block is told of apart from transactions.
    can_tell_blocks = False
    #: It connects to something that may go away and come back.
    can_reconnect = False
    #: It asks for a look at the chain when it starts, because what was told before is lost.
    has_gap_at_start = False
    #: How long the suite waits for what never comes.
    patience_seconds = PATIENCE_SECONDS

    @pytest.fixture
    def heard(self) -> Heard:
        """What was passed on."""
        return Heard(patience_seconds=self.patience_seconds)

    @pytest.fixture
    def handler(self, channel: Channel, heard: Heard) -> Iterator[IncomingTransactionRunnable]:
        """A handler that runs."""
        handler = channel.open(heard.take)
        handler.start()
        if self.has_gap_at_start:
            heard.wait_for(bool)
            assert heard.hints in ([NEW_BLOCK], [MISSED])
            heard.hints.clear()
        yield handler
        handler.stop()

    def test_a_txid_is_passed_on(self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard) -> None:
        channel.tell(txid(1).encode())
        heard.wait_for(bool)
        assert heard.hints == [txid(1)]
        assert handler.is_alive()
        assert handler.problem() is None
        assert handler.ready

    def test_a_txid_is_passed_on_in_lower_case(
        self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard
    ) -> None:
        channel.tell(b"AB" * 32)
        heard.wait_for(bool)
        assert heard.hints == [Txid("ab" * 32)]

    def test_many_txids_arrive_all(self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard) -> None:
        """From many writers at once; catches a handler that loses or glues lines."""

        def write(first: int) -> None:
            for number in range(first, first + 50):
                channel.tell(txid(number).encode())

        writers = [threading.Thread(target=write, args=(first,)) for first in range(1000, 1400, 50)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        heard.wait_for(lambda hints: len(set(hints)) >= 400)
        assert set(heard.hints) == {txid(number) for number in range(1000, 1400)}

    @pytest.mark.parametrize("poison", POISON)
    def test_poison_is_survived_and_not_passed_on(
        self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard, poison: str
    ) -> None:
        channel.tell(POISON[poison])
        channel.tell(txid(1).encode())
        heard.wait_for(lambda hints: txid(1) in hints)
        assert heard.hints == [txid(1)]
        assert handler.is_alive()

    def test_a_receiver_that_fails_does_not_end_the_channel(self, channel: Channel, heard: Heard) -> None:
        def notify(hint: Txid) -> None:
            heard.take(hint)
            if hint == txid(1):
                raise RuntimeError("planted")

        handler = channel.open(notify)
        handler.start()
        try:
            for number in (1, 2):
                channel.tell(txid(number).encode())
            heard.wait_for(lambda hints: txid(2) in hints)
            assert handler.is_alive()
        finally:
            handler.stop()

    def test_it_stops_for_good_and_can_be_stopped_twice(
        self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard
    ) -> None:
        assert handler.is_alive()
        handler.stop()
        assert not handler.is_alive()
        assert not handler.ready
        handler.stop()

    def test_a_handler_that_was_never_started_can_be_stopped(self, channel: Channel, heard: Heard) -> None:
        handler = channel.open(heard.take)
        assert not handler.is_alive()
        handler.stop()

    def test_it_leaves_no_thread_behind(self, channel: Channel, heard: Heard) -> None:
        before = threading.enumerate()
        handler = channel.open(heard.take)
        handler.start()
        channel.tell(txid(1).encode())
        heard.wait_for(lambda hints: txid(1) in hints)
        handler.stop()
        check_dangling_threads(before)

    def test_another_handler_takes_over_after_it(self, channel: Channel, heard: Heard) -> None:
        """As at a restart of the daemon."""
        for number in range(2):
            handler = channel.open(heard.take)
            handler.start()
            channel.tell(txid(number).encode())
            heard.wait_for(lambda hints, wanted=number: txid(wanted) in hints)  # type: ignore[misc]
            handler.stop()

    def test_waiting_costs_no_processor_time(
        self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard
    ) -> None:
        channel.tell(txid(1).encode())
        heard.wait_for(bool)
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.05, "the handler spins"

    def test_new_addresses_can_be_announced_at_any_time(
        self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard
    ) -> None:
        handler.register_new_addresses()
        channel.tell(txid(1).encode())
        heard.wait_for(bool)

    @needs("can_tell_blocks")
    def test_a_new_block_is_passed_on_as_such(
        self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard
    ) -> None:
        channel.tell_block("cd" * 32)
        heard.wait_for(bool)
        assert heard.hints == [NEW_BLOCK]

    @needs("can_reconnect")
    def test_after_an_interruption_it_goes_on_and_the_chain_is_looked_at(
        self, channel: Channel, handler: IncomingTransactionRunnable, heard: Heard
    ) -> None:
        """What was told meanwhile is lost, so the chain must be asked; and the daemon must not end over it."""
        channel.tell(txid(1).encode())
        heard.wait_for(bool)
        with channel.interrupted():
            self._wait_until(lambda: handler.problem() is not None)
            assert handler.is_alive()
        heard.wait_for(lambda hints: bool({MISSED, NEW_BLOCK} & set(hints)))
        channel.tell(txid(2).encode())
        heard.wait_for(lambda hints: txid(2) in hints)
        self._wait_until(lambda: handler.problem() is None)

    @needs("can_reconnect")
    def test_it_can_be_stopped_while_it_is_cut_off(
        self, channel: Channel, handler: IncomingTransactionRunnable
    ) -> None:
        with channel.interrupted():
            self._wait_until(lambda: handler.problem() is not None)
            handler.stop()
            assert not handler.is_alive()

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.patience_seconds
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)
