"""An account of the stand-in: one wallet on one network, with its keys, addresses and coins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from cryptoassets_blockio.networks import WITHOUT_SEGWIT
from cryptoassets_blockio.official import lock_key
from cryptoassets_blockio.scripts import NESTED, P2SH, WITNESS_V0, address_of, redeem_script, script_of
from cryptoassets_blockio.testing.chain import Chain, Entry
from cryptoassets_blockio.testing.keys import Key
from cryptoassets_blockio.transactions import Input, Output, Transaction
from cryptoassets_core.amounts import from_minor_units, to_minor_units
from cryptoassets_core.backend.base import Outpoint, Txid
from cryptoassets_core.coin.description import AddressRules, CoinDescription, Network
from cryptoassets_core.coin.validate import encode_base58check, encode_segwit


class Refusal(Exception):
    """The service's no; the message and what else it says."""

    def __init__(self, message: str, *, status: int = 404, **facts: object) -> None:
        super().__init__(message)
        self.status = status
        self.facts = facts


@dataclass(slots=True)
class OwnAddress:
    """An address of the account: two keys of two, the service's first."""

    address: str
    label: str
    kind: str
    key: Key
    redeem: bytes
    archived: bool = False


@dataclass(slots=True)
class Behaviour:
    """What nobody outside knows of the service, to be tried both ways. See the package's docs."""

    page_size: int = 100
    #: A page may end with the transaction that it was asked to begin after.
    echo_cursor: bool = False
    #: Every page after the first is the first again.
    stuck_cursor: bool = False
    #: Change shows among what the wallet received.
    change_is_received: bool = True
    #: Change shows among what the wallet sent.
    change_is_sent: bool = False
    #: What a double-spent transaction looks like: not there any more, or with negative confirmations.
    shows_conflicts: bool = False
    #: A submitted payload that comes again: ``same`` txid, ``refuse``, or ``resigned`` under another txid.
    repeat: str = "same"
    #: Raw transactions come with the value of each input.
    raw_has_values: bool = True
    #: Notifications are listed as an object, and not as a bare list.
    notifications_as_object: bool = True
    #: A websocket is told that its subscription is taken.
    answers_subscriptions: bool = True
    #: A websocket is told that it is not.
    refuses_subscriptions: bool = False
    #: Whole coins for 1000 bytes.
    fee_rate: Decimal = Decimal("0.0001")
    #: What the service charges for itself, whole coins a transaction.
    service_fee: Decimal = Decimal(0)
    #: Change goes here in place of the address that coins came from.
    change_to: str | None = None
    #: Does whatever it likes to a prepared transaction before it is answered.
    tamper: Callable[[dict[str, object]], None] | None = None
    #: Smallest output it makes, whole coins.
    smallest_output: Decimal = Decimal("0.00001")


@dataclass
class Account:
    """One wallet of the stand-in.

    :ivar lock: whoever looks at the account or changes it holds it.
    """

    coin: CoinDescription
    network: Network
    name: str
    api_key: str
    pin: str
    behaviour: Behaviour = field(default_factory=Behaviour)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.rules: AddressRules = self.coin.networks[self.network]
        self.chain = Chain(self.name)
        self.user = Key.named(f"user of {self.api_key}")
        #: The user's key is the hash of a passphrase, which only the PIN unlocks.
        passphrase = f"{self.api_key} passphrase".encode()
        self.user = Key.named(passphrase.decode())
        self.encrypted_passphrase = lock_key(passphrase.hex(), self.pin)
        self.addresses: dict[str, OwnAddress] = {}
        self.labels: dict[str, str] = {}
        self.new_address("default", None)
        #: Called with each transaction that is new, or has another block on it.
        self.on_change: Callable[[Iterable[Entry]], None] = lambda _entries: None
        self.new_label = 0
        #: What was submitted, by the id that it had unsigned.
        self.submitted: dict[Txid, Txid] = {}
        self.prepared: dict[Txid, dict[str, object]] = {}
        self.chain.mine(101)

    # --- Addresses ------------------------------------------------------------------------------------------

    def new_address(self, label: str | None, kind: str | None) -> OwnAddress:
        """Make an address; labels are unique for ever."""
        with self.lock:
            if label is None:
                self.new_label += 1
                label = f"label{self.new_label}"
            if label in self.labels:
                raise Refusal("Label already exists on your account for each Network specified.")
            if self.coin.symbol in WITHOUT_SEGWIT and kind == WITNESS_V0:
                raise Refusal("Invalid address type for this Network.")
            segwit = self.coin.symbol not in WITHOUT_SEGWIT
            real = (WITNESS_V0 if segwit else P2SH) if kind is None else (NESTED if kind == P2SH and segwit else kind)
            key = Key.named(f"{self.api_key} {label}")
            redeem = redeem_script(2, [key.public, self.user.public])
            made = OwnAddress(address_of(redeem, real, self.rules), label, real, key, redeem)
            self.addresses[made.address] = made
            self.labels[label] = made.address
            return made

    def outside_address(self, number: int) -> str:
        """Return an address of somebody else; each number another one."""
        digest = Key.named(f"outside {number}").secret[:20]
        if self.rules.bech32_hrp is not None and number % 2:
            return encode_segwit(self.rules.bech32_hrp, 0, digest)
        return encode_base58check(self.rules.p2pkh[0], digest)

    # --- Amounts --------------------------------------------------------------------------------------------

    def minor(self, amount: Decimal) -> int:
        """Return whole coins in minor units."""
        return to_minor_units(amount, self.coin.decimals)

    def shown(self, amount_minor: int) -> str:
        """Write minor units as the service does."""
        return f"{from_minor_units(amount_minor, self.coin.decimals):.8f}"

    # --- Coins ----------------------------------------------------------------------------------------------

    def coins(self) -> Iterator[tuple[Outpoint, int, OwnAddress, Entry]]:
        """List what the wallet can spend or will be able to: outpoint, minor units, address, transaction."""
        for entry in self.chain.entries.values():
            if entry.conflicted:
                continue
            for vout, payee in enumerate(entry.payees):
                outpoint = Outpoint(entry.txid, vout)
                own = self.addresses.get(payee) if payee is not None else None
                if own is not None and outpoint not in self.chain.spent_by:
                    yield outpoint, entry.transaction.outputs[vout].amount_minor, own, entry

    def is_available(self, entry: Entry) -> bool:
        """Tell whether a transaction's coins may be spent: confirmed, or our own."""
        return entry.own or entry.block is not None

    def balances(self, addresses: set[str] | None = None) -> tuple[int, int]:
        """Return what can be spent and what is coming in, minor units."""
        available = pending = 0
        for _, amount_minor, own, entry in self.coins():
            if addresses is None or own.address in addresses:
                if self.is_available(entry):
                    available += amount_minor
                else:
                    pending += amount_minor
        return available, pending

    # --- What happens on the network ------------------------------------------------------------------------

    def enter(self, entry: Entry) -> Txid:
        """Take a transaction into the mempool and tell."""
        with self.lock:
            self.chain.accept(entry)
            self.on_change([entry])
            return entry.txid

    def pay(self, payments: Iterable[tuple[str, Decimal]]) -> Txid:
        """Have somebody outside pay addresses, in one transaction."""
        with self.lock:
            number = self.chain.unique()
            outside = Outpoint(Txid(Key.named(f"{self.name} outside coin {number}").secret.hex()), 0)
            paid = list(payments)
            outputs = tuple(Output(self.minor(amount), script_of(address, self.rules)) for address, amount in paid)
            transaction = Transaction((Input(outside),), outputs)
            return self.enter(
                Entry(
                    txid=transaction.txid,
                    transaction=transaction,
                    raw=transaction.serialise().hex(),
                    payees=tuple(address for address, _ in paid),
                    senders=(self.outside_address(2 * number),),
                    spent_minor=(sum(output.amount_minor for output in outputs),),
                    number=self.chain.unique(),
                    seen_at=int(time.time()),
                )
            )

    def forget(self, txid: Txid) -> None:
        """Know a transaction no longer, nor that it was ever submitted: its coins are free again."""
        with self.lock:
            self.chain.drop(txid)
            del self.chain.entries[txid]
            self.submitted = {unsigned: known for unsigned, known in self.submitted.items() if known != txid}

    def mine(self, blocks: int = 1, *, leave: Iterable[Txid] = ()) -> None:
        """Add blocks one after the other, and tell of what they change."""
        with self.lock:
            self.chain.mine(blocks, leave=frozenset(leave))
            recent = [each for each in self.chain.entries.values() if 0 < self.chain.confirmations(each) <= 3]
            self.on_change(recent)
