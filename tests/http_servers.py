"""A small application and raw connections, for tests of the HTTP server of all listeners."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from flask import Flask, Response, request

from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, sentence


def make_app() -> Flask:
    app = plain_app()

    @app.post("/echo")
    def echo() -> Response:
        return sentence(str(len(request.get_data())))

    @app.get("/fail")
    def fail() -> Response:
        raise RuntimeError("the secret is swordfish")

    return app


@pytest.fixture
def serve() -> Iterator[Callable[..., BackgroundHTTPServer]]:
    """Start servers that are stopped after the test."""
    with ExitStack() as stack:

        def start(app: Any = None, **kwargs: Any) -> BackgroundHTTPServer:
            server = BackgroundHTTPServer(app or make_app(), "127.0.0.1", 0, "test server", **kwargs)
            server.start()
            stack.callback(server.stop)
            return server

        yield start


def connect(server: BackgroundHTTPServer) -> socket.socket:
    return socket.create_connection((server.ip, server.port), timeout=30)


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def exchange(server: BackgroundHTTPServer, sent: bytes) -> bytes:
    with connect(server) as connection:
        connection.sendall(sent)
        return read_all(connection)


def assert_serves(server: BackgroundHTTPServer) -> None:
    assert requests.post(server.url + "echo", data=b"four", timeout=30).text == "4\n"
    assert server.is_alive()
