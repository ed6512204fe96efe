"""A local application that takes events over HTTP: a process of its own, and cheap, for it is not what is measured."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import parse_qs

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Heard:
    """What an application was told so far."""

    events: int
    #: Events that came before an earlier one of their subject.
    out_of_order: int
    #: From the commit to the request, in seconds; as far as events say when they were committed.
    latencies: list[float]


@contextmanager
def listening() -> Iterator[tuple[str, Connection]]:
    """Run the application; yields its URL, and what answers anything sent to it with a Heard."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/", ours
    finally:
        process.kill()
        process.join()


def ask(application: Connection) -> Heard:
    """Ask what it was told so far."""
    application.send(None)
    heard: Heard = application.recv()
    return heard


def _serve(line: Connection) -> None:
    asyncio.run(_Application(line).run())


class _Application:
    def __init__(self, line: Connection) -> None:
        self._line = line
        self._events = self._out_of_order = 0
        self._latest: dict[str, int] = {}
        self._latencies: list[float] = []

    async def run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._line.send(server.sockets[0].getsockname()[1])
        asyncio.get_running_loop().add_reader(self._line.fileno(), self._tell)
        await server.serve_forever()

    def _tell(self) -> None:
        self._line.recv()
        self._line.send(Heard(self._events, self._out_of_order, self._latencies))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                body = await reader.readexactly(length)
                writer.write(_ANSWER)
                self._note(json.loads(parse_qs(body.decode())["data"][0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _note(self, data: dict[str, object]) -> None:
        self._events += 1
        subject, number = str(data["subject"]), int(str(data["number"]))
        self._out_of_order += number != self._latest.get(subject, -1) + 1
        self._latest[subject] = number
        if "written_at" in data:
            self._latencies.append(time.time() - float(str(data["written_at"])))
