"""Signatures, held against vectors, against rules written down apart, and against several threads."""

from __future__ import annotations

import sys
import threading
import time
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_blockio import official
from cryptoassets_blockio.official import check_pin, lock_key, sign
from cryptoassets_blockio.scripts import NESTED, P2SH, WITNESS_V0, redeem_script, shown_by_input
from cryptoassets_blockio.testing import StandIn, desk, fund
from cryptoassets_blockio.testing.keys import Key, verify
from cryptoassets_blockio.testing.signing import Spent, complete, digest
from cryptoassets_blockio.transactions import parse
from cryptoassets_btc.coin import BITCOIN
from cryptoassets_core.errors import BackendAuthenticationError, BackendError
from cryptoassets_doge.coin import DOGECOIN

PIN = "stand-in-pin"
PASSPHRASE = "00112233445566778899aabbccddeeff"
LOCKED = "0EKCIcWP4/8te6pAFkPDCxzuJPgtl1ikP4bOHiirjeNueRbE8iRSMQimi2uvztgb"
USER = "03200f00f1e7835d77b1efe09612881ce79335860c22e4731c8e813206e2afd4f1"
SERVICE = Key.named("stand-in block.io key")

#: Made with keys of our own; the numbers were worked out by two programs that agree.
VECTORS = {
    WITNESS_V0: (
        "BTCTEST",
        "tb1qdknfwfkmv4wluuvzrhw6qhjdeadk7v2seww7ldgcx7xtglqqx07qwe7tms",
        "04db8721f331fff0b408cd64bcd8963f520e35e2e7d49f0b8d28809bf7c34999",
        "2b0a12da7a69f3395f177cbd3099303bc330a1b7ade08fbfe5a8c903f2e3a9e1",
        "3044022077b5a395418ef9adad15f099c120b5f1e1d7e7a846e7b4fdbb54fa0387665fe902206cf869a72675baa6f0801a2cf2d5b136"
        "98625fdd7971adddcb7b0e1f579888f9",
        "04db8721f331fff0b408cd64bcd8963f520e35e2e7d49f0b8d28809bf7c34999",
    ),
    NESTED: (
        "BTCTEST",
        "2N9cPRW8nUnP8iP6Vqg2ceVbhSek9Z2U7Rd",
        "a95a7490cf6eb0c84bc8da9c1abb54ee825f6d2fc39d40a3f1f1aa7af303915e",
        "5fc7b5b873aeba83f3eb7930d06c0420b650b9496731a8ba17dfb0c76df446d8",
        "3044022024658828215979fe0711a25e1e2ba618e2a4dea05290527ddb2e7c8391cabd0b022000bebaf027e6316dbb9b755494a703c0"
        "68b7541d2775c8c1ad959e99dd5a4f68",
        "0d4de67ca4a88d997d1ab8919d1c4f9fe0bb0ca856e38cb9dc3701322998d6a5",
    ),
    P2SH: (
        "DOGETEST",
        "2N4mUxuFULAUdps9soRnv13zbvKzU4Ggu6D",
        "3c092ae5a037875f2a6b67f10261c04230103d043e85069bfd2b5fc7b686f67e",
        "d74b83f4dc308af8578ce69e2d3affb6dcac4e2fba01a9af5465e333805738a2",
        "304402202ba6b6365a89a0f6305dc047a2c99395cb882238d3fac2c2b7109335c23d7cdb0220215ec3f86778658b02608f8fa65a985a"
        "a51493cac96df6fc90299199843e1f10",
        "f30f6f116229422fe3bd9862faa3762b83ccf6c93d903ca9ec1546f3fc2990d2",
    ),
}


def prepared(kind: str) -> dict[str, object]:
    network, address, unsigned_txid, *_ = VECTORS[kind]
    outputs = [
        ("2MxvoKxn8VS9iMVXYj9tV4zjj5bc3vGaUGD", "0.60000000", "user-specified"),
        (address, "0.39990000", "change"),
    ]
    return {
        "network": network,
        "tx_type": "basic",
        "inputs": [
            {
                "input_index": 0,
                "previous_txid": "11" * 32,
                "previous_output_index": 1,
                "input_value": "1.00000000",
                "spending_address": address,
            }
        ],
        "outputs": [
            {"output_index": at, "output_category": category, "output_value": value, "receiving_address": to}
            for at, (to, value, category) in enumerate(outputs)
        ],
        "input_address_data": [
            {
                "address": address,
                "address_type": kind,
                "required_signatures": 2,
                "public_keys": [SERVICE.public.hex(), USER],
            }
        ],
        "user_key": {"public_key": USER, "encrypted_passphrase": LOCKED},
        "expected_unsigned_txid": unsigned_txid,
    }


@pytest.mark.parametrize("kind", VECTORS)
def test_signature_and_ids_are_those_of_the_vectors(kind: str) -> None:
    _, _, unsigned_txid, expected_digest, signature, final_txid = VECTORS[kind]
    payload = sign(prepared(kind), PIN)
    transaction = parse(payload["tx_hex"])
    redeem = redeem_script(2, [SERVICE.public, bytes.fromhex(USER)])
    spent = Spent(kind, redeem, 100_000_000)
    assert payload["signatures"] == [{"input_index": 0, "public_key": USER, "signature": signature}]
    assert transaction.txid == unsigned_txid
    assert digest(transaction, 0, spent).hex() == expected_digest
    both = [SERVICE.sign(bytes.fromhex(expected_digest)), bytes.fromhex(signature)]
    done = complete(transaction, [spent], [both])
    assert done.transaction.txid == parse(done.raw).txid == final_txid
    shown = shown_by_input(redeem, kind)
    assert (None if shown is None else transaction.with_scripts((shown,)).txid) == (
        None if kind == P2SH else final_txid
    )
    assert sign(prepared(kind), PIN) == payload


def test_stand_in_locks_keys_as_the_service_does() -> None:
    assert lock_key(PASSPHRASE, PIN) == LOCKED


@pytest.mark.parametrize("pin", ["", "wrong", "stand-in-pin ", "123456"])
def test_wrong_pin_is_named_and_never_shown(pin: str) -> None:
    for attempt in (
        lambda: sign(prepared(P2SH), pin),
        lambda: check_pin({"public_key": USER, "encrypted_passphrase": LOCKED}, pin),
    ):
        with pytest.raises(BackendAuthenticationError) as caught:
            attempt()
        assert "the option pin" in str(caught.value)
        assert PASSPHRASE not in repr(caught.value)
        assert pin.strip() in ("", "wrong") or pin not in str(caught.value)


def test_client_that_fails_keeps_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    usual = official._block_io.BlockIo

    class Watched(usual):  # type: ignore[misc, valid-type]  # the client has no types
        def __init__(self, *given: object) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(official._block_io, "BlockIo", Watched)
    with pytest.raises(BackendError, match="cannot sign"):
        sign({**prepared(P2SH), "expected_unsigned_txid": "ab" * 32}, PIN)
    assert made
    assert all(not client.private_keys for client in made)


@pytest.mark.parametrize(
    "algorithm", [{"pbkdf2_iterations": 10**9}, {"pbkdf2_iterations": "2048"}, {}, "sha256", {"pbkdf2_iterations": -1}]
)
def test_key_locked_in_an_impossible_way_is_refused_at_once(algorithm: object) -> None:
    with pytest.raises(BackendError, match="locked in an impossible way"):
        check_pin({"public_key": USER, "encrypted_passphrase": LOCKED, "algorithm": algorithm}, PIN)


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.stress)])
def test_two_networks_signing_in_threads_make_no_wrong_signature(seconds: int) -> None:
    """The client's network is a global variable."""
    until = time.monotonic() + seconds
    usual = sys.getswitchinterval()
    counts: dict[str, int] = {}
    wrong: list[str] = []

    def work(name: str) -> None:
        with StandIn() as service:
            account = service.open_account(BITCOIN if name.startswith("btc") else DOGECOIN)
            fund(account, Decimal(5), coins=3)
            counts[name] = 0
            while time.monotonic() < until:
                payees = [(account.outside_address(number), Decimal(1)) for number in range(12)]
                data = desk.prepare(account, payees)
                signed = sign(data, account.pin)
                transaction = parse(signed["tx_hex"])
                for number, row in enumerate(data["inputs"]):
                    own = account.addresses[row["spending_address"]]
                    spent = Spent(own.kind, own.redeem, account.minor(Decimal(row["input_value"])))
                    signature = bytes.fromhex(signed["signatures"][number]["signature"])
                    if not verify(account.user.public, signature, digest(transaction, number, spent)):
                        wrong.append(name)
                counts[name] += 1

    threads = [
        threading.Thread(target=work, args=(f"{coin} {number}",)) for coin in ("btc", "doge") for number in (1, 2)
    ]
    # Threads take turns so often that one without the lock is interrupted in the middle.
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    assert wrong == []
    assert all(count >= seconds for count in counts.values()), counts
