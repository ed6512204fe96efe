"""Notifications wait for a worker: each once, none held up by another's trouble, and no flood fills the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from commands import eventually
from kit import txid

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.service import notifyqueue
from cryptoassets_core.service.notifyqueue import BATCH, NotifyQueue
from cryptoassets_core.walletnotify.base import MISSED, NEW_BLOCK


@contextmanager
def queue(handle: Callable[[Sequence[Txid]], bool], *waiting: Txid) -> Iterator[NotifyQueue]:
    """Start a queue in which something waits."""
    made = NotifyQueue("btc", handle)
    for each in waiting:
        made.put(each)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class Worker:
    """Notes each batch and answers with the next of some answers, the last one for ever."""

    def __init__(self, *answers: bool) -> None:
        self.batches: list[list[Txid]] = []
        self._answers = list(answers) or [True]

    def __call__(self, txids: Sequence[Txid]) -> bool:
        self.batches.append(list(txids))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def test_notifications_are_looked_at_together_and_each_once() -> None:
    worker = Worker()
    with queue(worker, txid(1), txid(2), txid(1)):
        eventually(lambda: worker.batches)
    assert worker.batches == [[txid(1), txid(2)]]


def test_notification_during_the_work_is_looked_at_afterwards() -> None:
    working, go_on = threading.Event(), threading.Event()
    worker = Worker()

    def handle(txids: Sequence[Txid]) -> bool:
        working.set()
        go_on.wait()
        return worker(txids)

    with queue(handle, txid(1)) as waiting:
        working.wait()
        waiting.put(txid(1))
        go_on.set()
        eventually(lambda: len(worker.batches) == 2)
    assert worker.batches == [[txid(1)], [txid(1)]]


def test_what_could_not_be_looked_at_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifyqueue, "RETRY_SECONDS", 0.01)
    worker = Worker(False, False, True)
    with queue(worker, txid(1)):
        eventually(lambda: len(worker.batches) == 3)
    assert worker.batches == [[txid(1)]] * 3


def test_batches_are_bounded() -> None:
    worker = Worker()
    with queue(worker, *(txid(number) for number in range(BATCH + 1))):
        eventually(lambda: len(worker.batches) == 2)
    assert [len(batch) for batch in worker.batches] == [BATCH, 1]


def test_flood_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifyqueue, "CAPACITY", 3)
    worker = Worker()
    with queue(worker, *(txid(number) for number in range(5)), txid(0)) as waiting:
        eventually(lambda: worker.batches)
        assert waiting.dropped == 2
    assert worker.batches == [[txid(0), txid(1), txid(2)]]


def test_stopping_while_the_backend_is_down_does_not_wait_for_it() -> None:
    worker = Worker(False)
    with queue(worker, txid(1)) as waiting:
        eventually(lambda: worker.batches)
        waiting.stop()
        assert not waiting.is_alive()


def test_queue_that_was_never_started_can_be_stopped() -> None:
    waiting = NotifyQueue("btc", Worker())
    waiting.stop()
    assert not waiting.is_alive()


def test_flood_is_looked_at_in_a_bounded_number_of_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifyqueue, "PAUSE_SECONDS", 60)
    worker = Worker()
    with queue(worker, *(txid(number) for number in range(10 * BATCH))) as waiting:
        eventually(lambda: worker.batches)
        for number in range(10_000):
            waiting.put(txid(number))
        for hint in (NEW_BLOCK, MISSED):
            waiting.put(hint)  # has its place in any flood
        waiting.stop()
    assert [len(batch) for batch in worker.batches] == [BATCH]
    assert waiting.dropped == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_worker_that_dies_is_noticed() -> None:
    def handle(txids: Sequence[Txid]) -> bool:
        raise ZeroDivisionError

    with queue(handle, txid(1)) as waiting:
        eventually(lambda: not waiting.is_alive())
