"""A real daemon on a private chain, for tests and for trying things out.

It runs Litecoin Core in regtest mode: a derivative of Bitcoin Core 0.21 that Debian packages. Nothing leaves the
machine, blocks are made on demand, and its coins are worth nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from cryptoassets_bitcoind.endpoint import Endpoint
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_core.errors import BackendUnavailableError, CryptoAssetsError

DAEMON: Final = "litecoind"
INSTALL_COMMAND: Final = "sudo apt-get install litecoind"

#: Blocks before a block reward can be spent.
COINBASE_MATURITY: Final = 100

_FIXED_OPTIONS: Final = (
    "-regtest",
    "-server=1",
    "-listen=0",
    "-dnsseed=0",
    "-upnp=0",
    "-printtoconsole=0",
    "-keypool=10",
    "-rpcbind=127.0.0.1",
    "-rpcallowip=127.0.0.1",
    # The daemon does not stop before the last kept-alive connection is closed; by default that takes 30 seconds.
    "-rpcservertimeout=1",
    # Regtest never has enough transactions to estimate a fee from.
    "-fallbackfee=0.0002",
    # Litecoin's MWEB would stop the chain at height 431 until somebody pegs coins in.
    "-vbparams=mweb:9999999999:9999999999",
)


class RegtestError(CryptoAssetsError):
    """The daemon is not installed, or does not start."""


class RegtestNode:
    """A daemon of its own in a temporary directory; use it as a context manager.

    The unnamed wallet exists from the start and is the miner's.

    :ivar datadir: the daemon's directory, removed at the end.
    :ivar port: where it answers RPC.
    """

    def __init__(
        self,
        *,
        walletnotify: str | None = None,
        options: Sequence[str] = (),
        user: str = "regtest",
        password: str = "regtest",  # noqa: S107  # it guards nothing of value, on the loopback interface
    ) -> None:
        """Prepare; nothing runs before :py:meth:`start`.

        :param walletnotify: command the daemon runs for each change of a wallet transaction, ``%s`` being the txid.
        :param options: more command-line options of the daemon, such as ``-mempoolreplacement=1``.
        """
        self.user = user
        self.password = password
        self.port = _free_port()
        self.datadir = Path(tempfile.mkdtemp(prefix="cryptoassets-regtest-"))
        self._options = [*options] + ([f"-walletnotify={walletnotify}"] if walletnotify else [])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.create_wallet("")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # --- Life and death -----------------------------------------------------------------------------------------

    def start(self, *, options: Sequence[str] = ()) -> None:
        """Start the daemon and return when it answers.

        :param options: more command-line options, for this time only.
        :raises RegtestError: it is not installed, or it ends at once.
        """
        program = shutil.which(DAEMON)
        if program is None:
            raise RegtestError(f"{DAEMON} is not installed; get it with: {INSTALL_COMMAND}")
        with (self.datadir / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [
                    program,
                    *_FIXED_OPTIONS,
                    f"-datadir={self.datadir}",
                    f"-rpcport={self.port}",
                    f"-rpcuser={self.user}",
                    f"-rpcpassword={self.password}",
                    *self._options,
                    *options,
                ],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End the daemon cleanly; its chain and wallets stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon as a power failure would.

        It forgets all blocks since it was started, unless they were flushed: ``rpc("gettxoutsetinfo")`` does that.
        """
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the daemon and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let the daemon hang: it accepts connections and answers nothing (SIGSTOP)."""
        self._running.send_signal(signal.SIGSTOP)
        # The signal is on its way only; the daemon must not answer one more call.
        os.waitid(os.P_PID, self._running.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let a hanging daemon go on; it then does what it was asked meanwhile (SIGCONT)."""
        self._running.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the daemon if it runs, and remove its directory."""
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.datadir, ignore_errors=True)

    # --- Using it -----------------------------------------------------------------------------------------------

    def url(self, wallet: str | None = None) -> str:
        """Return the URL for the configuration, of one wallet or of the whole daemon."""
        path = "" if wallet is None else f"wallet/{quote(wallet, safe='')}"
        return f"http://{quote(self.user, safe='')}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{path}"

    def rpc(self, method: str, *params: object, wallet: str | None = None) -> object:
        """Call the daemon, or one of its wallets where a wallet is meant and there are several."""
        # A connection for each call: a kept one may be closed by the daemon in the moment in which it is used again.
        client = RpcClient(Endpoint.parse(self.url(wallet)), timeout=60)
        try:
            return client.call(method, *params)
        finally:
            client.close()

    def create_wallet(self, name: str) -> str:
        """Make a wallet and return its URL; it is loaded again after restarts."""
        # name, watch-only, blank, passphrase, avoid_reuse, descriptors, load_on_startup
        self.rpc("createwallet", name, False, False, "", False, False, True)
        return self.url(name)

    def mine(self, blocks: int = 1, *, address: str | None = None) -> list[str]:
        """Make blocks and return their hashes; the rewards go to a new address of the miner, or to ``address``.

        A new one each time: with the old address, the block after a reorganisation may be the very block it removed.
        """
        hashes = self.rpc("generatetoaddress", blocks, address or self.rpc("getnewaddress", wallet=""))
        if not isinstance(hashes, list):
            raise RegtestError(f"the daemon did not mine {blocks} blocks")
        return [str(block) for block in hashes]

    def sync(self) -> None:
        """Wait until the wallets know every transaction that the daemon has accepted; they hear of them a bit later."""
        self.rpc("syncwithvalidationinterfacequeue")

    def mine_coins(self) -> None:
        """Mine until the miner has coins to spend."""
        self.mine(COINBASE_MATURITY + 1)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RegtestError(f"{DAEMON} is not running; call start() first")
        return self._process

    def _wait_until_ready(self, process: subprocess.Popen[bytes], *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self.rpc("getblockchaininfo")
                return
            except BackendUnavailableError:
                time.sleep(0.02)
        said = (self.datadir / "stderr").read_text(errors="replace").strip()
        self.kill()
        raise RegtestError(f"{DAEMON} did not start on port {self.port}: {said or 'it said nothing'}")

    def _end(self, number: signal.Signals) -> None:
        process = self._running
        # A hanging process would not see SIGTERM.
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
