"""Wallet notification over a named pipe: the node runs ``timeout 5 sh -c 'echo %s > /run/shop/notify'``.

With ``echo block %s`` it tells of a new block in the same way. The pipe is made where there is none, and it stays when
the daemon ends: who writes to it then waits until the daemon is back, and the shell of a node would make a regular file
where there is no pipe. Nothing is ever removed.
"""

from __future__ import annotations

import errno
import os
import selectors
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from pydantic import Field, field_validator

from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable, Notify, WalletNotifyOptions
from cryptoassets_core.walletnotify.hints import LINE_BYTES, Hints

#: Permissions of a new pipe, before it gets those that are configured.
_NOBODY_ELSE: Final = 0o600

#: What a pipe holds, on Linux.
_READ_BYTES: Final = 65536

#: Reads between two looks at whether to stop.
_READS_AT_ONCE: Final = 16

_STOP_SECONDS: Final = 5


class PipeWalletNotifyOptions(WalletNotifyOptions):
    """Where the pipe is. Whoever may write to it can make the daemon look at transactions, and nothing else."""

    #: File name of the pipe, another one for each coin.
    fname: Path
    #: Its permissions, for example ``0620`` with the node in the pipe's group.
    mode: int = Field(default=_NOBODY_ELSE, ge=0, le=0o777)

    @field_validator("mode", mode="before")
    @classmethod
    def _read_octal(cls, value: Any) -> Any:
        """Let ``"0620"`` and ``0o620``, which YAML takes for text, mean what ``chmod`` means by them."""
        if isinstance(value, str):
            return int(value, 8)
        return value


class PipeWalletNotifyHandler(IncomingTransactionRunnable):
    """Reads a named pipe, a hint a line.

    :ivar hints: counts what was taken and what was refused.
    """

    def __init__(self, options: PipeWalletNotifyOptions, notify: Notify) -> None:
        super().__init__(options, notify)
        self.path = options.fname
        self.hints = Hints(f"the notification pipe {self.path}", notify)
        self._mode = options.mode
        self._pipe: _OpenPipe | None = None
        self._thread = threading.Thread(target=self._run, name="pipe-walletnotify", daemon=True)

    def start(self) -> None:
        """Make the pipe, or take over the one that is there, and read it.

        :raises ConfigurationError: it cannot be made, somebody reads it already, or something else has its name.
        """
        try:
            _make(self.path)
            self._pipe = _OpenPipe(self.path, self._mode)
        except OSError as error:
            raise ConfigurationError(f"the pipe {self.path} cannot be opened: {error.strerror}") from error
        self._thread.start()

    def stop(self) -> None:
        """Take what is in the pipe and end the thread; the pipe stays. Safe to call twice."""
        if self._pipe is not None and self._thread.is_alive():
            self._pipe.wake_up()
            self._thread.join(_STOP_SECONDS)

    def is_alive(self) -> bool:
        """Tell whether the pipe is read."""
        return self._thread.is_alive()

    def problem(self) -> str | None:
        """Say that the pipe has lost its name: something tidied it away, and the node writes elsewhere."""
        if self._pipe is None or self._pipe.is_in_place():
            return None
        return f"the pipe {self.path} was removed or replaced; restart the daemon to make it again"

    def _run(self) -> None:
        if self._pipe is None:
            return
        # Only the end of a line counts, and so only the end of one that has begun is kept.
        begun = b""
        for data in self._pipe.read():
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                self.hints.take(line)
            begun = begun[-LINE_BYTES:]


def _make(path: Path) -> None:
    """Make a pipe, or see that the one that is there may be taken over: nobody else's, and no symbolic link."""
    try:
        os.mkfifo(path, _NOBODY_ELSE)
        return
    except FileExistsError:
        found = os.lstat(path)
    if not stat.S_ISFIFO(found.st_mode):
        raise ConfigurationError(
            f"{path} is there and is no pipe; move it away or choose another fname, nothing of yours is ever deleted"
        )
    if found.st_uid != os.geteuid():
        raise ConfigurationError(f"the pipe {path} belongs to another user; remove it or choose another fname")


class _OpenPipe:
    """A pipe that is read until somebody wakes its reader up."""

    def __init__(self, path: Path, mode: int) -> None:
        if _has_reader(path):
            raise ConfigurationError(f"the pipe {path} is read by another process; each coin needs a pipe of its own")
        self._path = path
        self._files = ExitStack()
        with ExitStack() as opened:
            self._reader = _open(opened, path, os.O_RDONLY)
            # Never written to: with a writer of ours the pipe has no end, so that a read waits instead of spinning.
            _open(opened, path, os.O_WRONLY)
            self._identity = os.fstat(self._reader)
            if not stat.S_ISFIFO(self._identity.st_mode):
                raise ConfigurationError(f"{path} was replaced while it was opened; see who writes to its directory")
            os.fchmod(self._reader, mode)
            self._alarm, self._waker = os.pipe()
            for fd in (self._alarm, self._waker):
                opened.callback(os.close, fd)
            self._files = opened.pop_all()

    def wake_up(self) -> None:
        """Let :py:meth:`read` come to its end."""
        os.write(self._waker, b"!")

    def is_in_place(self) -> bool:
        """Tell whether the pipe still has its name: something may have tidied it away."""
        try:
            return os.path.samestat(os.lstat(self._path), self._identity)
        except OSError:
            return False

    def read(self) -> Iterator[bytes]:
        """Return what is written, as it comes; in the end what is still in the pipe, and close it."""
        with self._files, selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            selector.register(self._alarm, selectors.EVENT_READ)
            while self._alarm not in {key.fd for key, _ in selector.select()}:
                yield from self._waiting()
            yield from self._waiting()

    def _waiting(self) -> Iterator[bytes]:
        # Not until it is empty: with enough writers that would be never, and nobody could stop us.
        for _ in range(_READS_AT_ONCE):
            try:
                yield os.read(self._reader, _READ_BYTES)
            except BlockingIOError:
                return


def _open(opened: ExitStack, path: Path, access: int) -> int:
    fd = os.open(path, access | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd


def _has_reader(path: Path) -> bool:
    try:
        with ExitStack() as opened:
            _open(opened, path, os.O_WRONLY)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    return True
