"""The chain file: one coin and network each, and many users at once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from cryptoassets_core.coin.description import AddressRules, CoinDescription
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import (
    BackendRejectedError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidAmountError,
)
from cryptoassets_simnet import ChainFileError, ChainMismatchError, Simnet, SimnetError
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions

NO_SEGWIT = AddressRules(p2pkh=(0x71,), p2sh=(0xC4,))


def test_the_backend_makes_the_file_and_says_that_it_is_a_simulation(
    backend: SimnetBackend, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not path.exists()
    with caplog.at_level(logging.WARNING):
        backend.check()
        backend.check()
    assert path.exists()
    (record,) = caplog.records
    assert "btc runs on a SIMULATED network" in record.getMessage()


def test_the_main_network_is_not_simulated_because_its_addresses_look_real(coin: CoinDescription, path: Path) -> None:
    real = replace(coin, networks={"main": AddressRules(p2pkh=(0,), p2sh=(5,), bech32_hrp="bc")})
    with pytest.raises(ConfigurationError, match="set network: regtest"):
        SimnetBackend(real, "main", SimnetOptions(path=path))
    assert not path.exists()


def test_another_coin_or_network_is_refused(simnet: Simnet, coin: CoinDescription, path: Path) -> None:
    with pytest.raises(ChainMismatchError, match="simulates btc on regtest with 8 decimals, not doge on regtest"):
        Simnet(path, replace(coin, symbol="doge"))
    backend = SimnetBackend(coin, "test", SimnetOptions(path=path))
    with pytest.raises(BackendRejectedError, match="not btc on test"):
        backend.check()
    with pytest.raises(ChainMismatchError, match="no network 'signet' to simulate; it has regtest, test"):
        Simnet(path, coin, network="signet")
    with pytest.raises(ChainMismatchError, match="other address rules"):
        Simnet(path, replace(coin, networks={"regtest": NO_SEGWIT}))


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00 and then junk" * 100, b"something else" * 100])
def test_a_file_that_is_no_chain_is_refused_and_left_alone(coin: CoinDescription, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ChainFileError, match=r"not a simulated chain|cannot be used now"):
        Simnet(path, coin)
    backend = SimnetBackend(coin, "regtest", SimnetOptions(path=path))
    with pytest.raises(BackendUnavailableError):
        backend.check()
    assert path.read_bytes() == content


def test_a_missing_directory_is_named(coin: CoinDescription, tmp_path: Path) -> None:
    with pytest.raises(ChainFileError, match=r"cannot be made at .*nowhere"):
        Simnet(tmp_path / "nowhere" / "chain", coin)


def test_opening_a_missing_file_makes_none(path: Path) -> None:
    with pytest.raises(ChainFileError, match="there is no simulated chain at"):
        Simnet.open(path)
    assert not path.exists()


def test_two_chains_share_no_name(coin: CoinDescription, tmp_path: Path) -> None:
    with Simnet(tmp_path / "one", coin) as one, Simnet(tmp_path / "two", coin) as two:
        assert one.create_address("a") != two.create_address("a")
        assert set(one.mine(3)) & set(two.mine(3)) == set()
        assert one.fund(Decimal(1)) != two.fund(Decimal(1))


def test_addresses_follow_the_network(coin: CoinDescription, path: Path) -> None:
    plain = replace(coin, networks={"regtest": NO_SEGWIT})
    with Simnet(path, plain) as network:
        address = network.create_address()
    assert address[0] == "n"
    assert canonical_address(address, NO_SEGWIT) == address


def test_a_deposit_that_makes_no_sense_changes_nothing(simnet: Simnet) -> None:
    stranger = "bcrt1qyakh5nc6pmwer2ydszglvcy85zwek7wrpy7e2v"
    with pytest.raises(SimnetError, match="not an address of this simulated wallet"):
        simnet.pay(stranger, Decimal(1))
    for amount in (Decimal(0), Decimal(-1), Decimal("Infinity"), Decimal("0.000000001"), 0.5):
        with pytest.raises(InvalidAmountError):
            simnet.pay(simnet.create_address(), amount)  # type: ignore[arg-type]
    with pytest.raises(SimnetError, match="at least one output"):
        simnet.pay_many([])
    for blocks in (0, -1, 10**9):
        with pytest.raises(SimnetError, match="number of blocks"):
            simnet.mine(blocks)
    assert (simnet.balance(), simnet.status().mempool, simnet.status().height) == (0, 0, 0)


def test_only_deposits_from_outside_are_double_spent(simnet: Simnet, backend: SimnetBackend) -> None:
    reward = simnet.reward(backend.create_address("a"))
    simnet.fund(Decimal(1))
    sent = backend.prepare({backend.create_address("b"): Decimal("0.1")})
    backend.submit(sent)
    for txid in (reward, sent.txid):
        with pytest.raises(SimnetError, match="only a deposit from outside"):
            simnet.double_spend(txid)
    with pytest.raises(SimnetError, match="no network transaction 'feed'"):
        simnet.double_spend("feed")  # type: ignore[arg-type]


#: What one process of several does: deposits, blocks and withdrawals, all on one file that the first one makes.
#: Nothing holds what prepare() chose, so another process may spend it first; then the withdrawal is prepared anew.
WORKER = textwrap.dedent("""
    import sys
    from decimal import Decimal
    from cryptoassets_core.coin.description import AddressRules, CoinDescription
    from cryptoassets_core.errors import BroadcastDeadError, OutcomeUnknownError
    from cryptoassets_simnet import Simnet
    from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions

    rules = AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="bcrt")
    coin = CoinDescription(symbol="btc", title="Bitcoin", models="example.models", networks={"regtest": rules},
                           dust=Decimal("0.00000546"), uri_scheme="bitcoin")
    backend = SimnetBackend(coin, "regtest", SimnetOptions(path=sys.argv[1]))
    with Simnet(sys.argv[1], coin) as network:
        for number in range(15):
            network.pay(backend.create_address(f"a{number}"), Decimal("0.5"))
            network.mine()
            while True:
                prepared = backend.prepare({sys.argv[2]: Decimal("0.1")})
                try:
                    print(backend.submit(prepared))
                    break
                except (BroadcastDeadError, OutcomeUnknownError):
                    continue
    backend.close()
""")


def test_several_processes_share_one_file(coin: CoinDescription, path: Path) -> None:
    customer = "bcrt1qyakh5nc6pmwer2ydszglvcy85zwek7wrpy7e2v"
    command = [sys.executable, "-W", "error", "-c", WORKER, str(path), customer]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sent = [line for worker in workers for line in worker.communicate()[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert len(set(sent)) == 45
    with Simnet(path, coin, network="regtest") as network:
        network.mine()
        status = network.status()
        assert (status.height, status.mempool) == (46, 0)
        assert status.confirmed_balance == 45 * (Decimal("0.5") - Decimal("0.1") - Decimal("0.0001"))
    assert [each.name for each in path.parent.iterdir() if each.name.endswith(".new")] == []


def test_several_threads_share_one_backend(simnet: Simnet, backend: SimnetBackend) -> None:
    made: list[str] = []

    def make_addresses() -> None:
        for _ in range(10):
            made.append(backend.create_address("a"))

    threads = [threading.Thread(target=make_addresses) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_uses_a_connection_of_its_own(simnet: Simnet, make_backend: Callable[[], SimnetBackend]) -> None:
    backend = make_backend()
    backend.check()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            simnet.mine(2)
            backend.create_address("child")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    simnet.mine()
    assert simnet.status().height == 3
