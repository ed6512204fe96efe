"""The HTTP server of all listeners: its life, and where it cannot listen."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import requests
from flask import Response
from http_servers import assert_serves, connect, make_app, read_all, serve

from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.utils import httpserver, waitressserver
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, sentence

__all__ = ["serve"]


# --- Life cycle ---------------------------------------------------------------------------------------------


def test_a_started_server_takes_requests_on_the_port_it_picked(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve()
    assert server.port > 0
    assert server.url == f"http://127.0.0.1:{server.port}/"
    assert_serves(server)


def test_a_stopped_server_refuses_connections_and_leaves_nothing_behind() -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))

    handles_before, threads_before = handles(), threading.active_count()
    server = BackgroundHTTPServer(make_app(), "127.0.0.1", 0, "test server")
    server.start()
    with connect(server):
        assert_serves(server)
        server.stop()
    server.stop()
    assert not server.is_alive()
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    assert (handles(), threading.active_count()) == (handles_before, threads_before)


def test_a_stopped_server_can_start_again_on_its_port(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve()
    port = server.port
    server.stop()
    server.start()
    assert server.port == port
    assert_serves(server)


def test_starting_twice_changes_nothing(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve()
    server.start()
    assert_serves(server)


def test_stopping_lets_a_request_under_way_end(serve: Callable[..., BackgroundHTTPServer]) -> None:
    app = plain_app()
    entered, leave = threading.Event(), threading.Event()

    @app.get("/")
    def slow() -> Response:
        entered.set()
        leave.wait(30)
        return sentence("done")

    server = serve(app)
    with connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert entered.wait(30)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        leave.set()
        assert read_all(connection).endswith(b"done\n")
        stopping.join(30)


def test_stopping_does_not_wait_for_a_request_that_hangs(
    serve: Callable[..., BackgroundHTTPServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waitressserver, "STOP_SECONDS", 0)
    app = plain_app()
    entered, leave = threading.Event(), threading.Event()

    @app.get("/")
    def hanging() -> Response:
        entered.set()
        leave.wait(30)
        return sentence("too late")

    server = serve(app)
    with connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert entered.wait(30)
        server.stop()
        assert not server.is_alive()
        # Opened now, it gets the numbers of the handles that the server closed.
        ends = [os.pipe() for _ in range(5)]
        try:
            leave.set()
            wait_for(lambda: not any(thread.name.startswith("waitress-") for thread in threading.enumerate()))
            for reading, _ in ends:
                os.set_blocking(reading, False)
                with pytest.raises(BlockingIOError):
                    os.read(reading, 1)
        finally:
            for handle in (handle for pair in ends for handle in pair):
                os.close(handle)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(("daemon", "ends"), [(True, True), (False, False)])
def test_only_a_server_that_is_no_daemon_keeps_the_process(daemon: bool, ends: bool) -> None:
    program = (
        "from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app\n"
        f"BackgroundHTTPServer(plain_app(), '127.0.0.1', 0, 'test server', daemon={daemon}).start()\n"
        "print('started', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            if ends:
                assert process.wait(30) == 0
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(1.5)
        finally:
            process.kill()


# --- What cannot be listened on -----------------------------------------------------------------------------


def test_a_port_in_use_is_told_with_address_and_remedy(serve: Callable[..., BackgroundHTTPServer]) -> None:
    taken = serve()
    server = BackgroundHTTPServer(make_app(), "127.0.0.1", taken.port, "HTTP walletnotify")
    with pytest.raises(ConfigurationError) as caught:
        server.start()
    assert str(caught.value) == (
        f"HTTP walletnotify cannot listen on 127.0.0.1:{taken.port}: the port is in use; "
        "stop the program that uses it or configure another port"
    )
    assert not server.is_alive()
    server.stop()


@pytest.mark.parametrize(
    ("ip", "port", "told"),
    [
        ("192.0.2.1", 1, "192.0.2.1:1: Cannot assign requested address; use an address of this machine"),
        ("2001:db8::1", 1, "[2001:db8::1]:1: "),
        ("no such host", 1, "no such host:1: the address is unknown"),
        ("\x00", 1, "the address is unknown"),
        ("x" * 300, 1, "the address is unknown"),
        ("", 1, "it takes an address such as 127.0.0.1"),
        ("127.0.0.1", -1, "127.0.0.1:-1: it takes an address"),
        ("127.0.0.1", 65536, "127.0.0.1:65536: it takes an address"),
    ],
)
def test_a_bad_address_is_told(ip: str, port: int, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BackgroundHTTPServer(make_app(), ip, port, "test server").start()
    assert str(caught.value).startswith("test server cannot listen on ")
    assert told in str(caught.value)


def test_a_port_that_needs_privileges_is_told() -> None:
    assert "configure one above 1023" in httpserver._remedy(OSError(errno.EACCES, "Permission denied"))


def test_localhost_is_reached_by_number_and_by_name() -> None:
    server = BackgroundHTTPServer(make_app(), "localhost", 0, "test server")
    server.start()
    try:
        for host in ("127.0.0.1", "localhost"):
            assert requests.post(f"http://{host}:{server.port}/echo", data=b"", timeout=30).status_code == 200
    finally:
        server.stop()
