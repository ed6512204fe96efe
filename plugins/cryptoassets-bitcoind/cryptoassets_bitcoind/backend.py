"""The backend: what the kernel asks, in the words of a bitcoind-like daemon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

from cryptoassets_bitcoind import answers, faults, listing, mempool
from cryptoassets_bitcoind.capabilities import Capabilities, detect_capabilities
from cryptoassets_bitcoind.endpoint import Endpoint
from cryptoassets_bitcoind.locks import lock, unlock
from cryptoassets_bitcoind.nodestate import DEFAULT_MAX_TIP_AGE, NodeState
from cryptoassets_bitcoind.options import BitcoindOptions
from cryptoassets_bitcoind.preparation import FeePolicy, Preparation
from cryptoassets_bitcoind.publication import Publication
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_bitcoind.spooled import SpooledListing, read_replies
from cryptoassets_core.backend.base import (
    BackendOptions,
    BlockHash,
    ChainChanges,
    PreparedTransaction,
    TwoStepBackend,
    Txid,
    WalletTransaction,
)
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.errors import BackendRejectedError, ConfigurationError

#: Default of ``max_fee_rate`` in dust limits. The dust limit is 0.546 times the least relay fee of 1000 bytes, so this
#: is about 1100 times what the network asks for at the least.
_MAX_FEE_RATE_IN_DUST = 2000


class BitcoindBackend(TwoStepBackend):
    """Bitcoin Core, Litecoin Core, Dogecoin Core and their like, over JSON-RPC."""

    def __init__(self, coin: CoinDescription, network: Network, options: BackendOptions) -> None:
        super().__init__(coin, network, options)
        if not isinstance(options, BitcoindOptions):
            raise ConfigurationError(f"the bitcoind backend takes BitcoindOptions, not {type(options).__name__}")
        self.options = options
        self.rpc = RpcClient(Endpoint.parse(options.url.get_secret_value()), timeout=options.timeout)
        self._policy = self._fee_policy()
        self._node_state = NodeState(
            endpoint=self.rpc.endpoint, symbol=coin.symbol, network=network, max_tip_age=self._max_tip_age()
        )
        self._capabilities: Capabilities | None = None

    def check(self) -> None:
        """See that the daemon is the right one, synchronised, and has a wallet.

        :raises BackendUnavailableError: it is down, starting, or behind its network.
        :raises BackendRejectedError: wrong password, wrong network, no wallet, or an option it cannot follow.
        """
        self.get_tip()
        self._capabilities = detect_capabilities(self.rpc)
        self.rpc.call("getwalletinfo")
        self._check_options(self._capabilities)

    def create_address(self, label: str) -> str:
        """Make a receiving address of the configured type."""
        type_of_address = [] if self.options.address_type is None else [self.options.address_type]
        return answers.text(self.rpc.call("getnewaddress", label, *type_of_address), "getnewaddress")

    def get_tip(self) -> BlockHash:
        """Return the best block's hash."""
        return self._node_state.tip(self.rpc.call("getblockchaininfo"))

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        """List what changed, with one request.

        One more when the daemon does not know the checkpoint, and some to see whether unconfirmed deposits still wait.

        A deposit that was double-spent is not listed by daemons: ask :py:meth:`get_transactions` for what is missing.
        """
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        info, changes = self._ask_since(checkpoint or "", depth)
        if isinstance(changes, BackendRejectedError) and changes.code == faults.NOT_FOUND and checkpoint:
            info, changes = self._ask_since("", depth)
        for answer in (info, changes):
            if isinstance(answer, BackendRejectedError):
                raise answer
        return self._changes(self._node_state.tip(info), answers.mapping(changes, "listsinceblock"))

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        """Look up transactions, 100 a request."""
        found = self._look_up(txids)
        return found | self._look_at_mempool([txid for txid, each in found.items() if listing.waits(each)])

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        """Return what the wallet holds, without immature block rewards.

        With ``confirmations`` deposits that are younger do not count; change of our own withdrawals does at any age.
        """
        trusted, pending = self._balances()
        if confirmations <= 0:
            return trusted + pending
        return trusted - self._young_deposits(confirmations)

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        """Build and sign a transaction; its inputs stay free until they are held."""
        if not recipients:
            raise ValueError("prepare needs at least one recipient")
        preparation = Preparation(
            rpc=self.rpc, capabilities=self.capabilities, policy=self._policy, decimals=self.coin.decimals
        )
        return preparation.prepare(recipients)

    def submit(self, prepared: PreparedTransaction) -> Txid:
        """Publish, or find out that it is published.

        :raises BroadcastDeadError: a confirmed transaction spends one of its inputs and pays something else.
        :raises OutcomeUnknownError: it is refused now, or the answer was lost; submit it again later.
        """
        publication = Publication(rpc=self.rpc, capabilities=self.capabilities, decimals=self.coin.decimals)
        return publication.submit(prepared)

    def hold(self, prepared: PreparedTransaction) -> None:
        """Lock the inputs in the daemon's wallet; those that are locked already or spent are passed over."""
        lock(self.rpc, prepared.inputs)

    def release(self, prepared: PreparedTransaction) -> None:
        """Unlock the inputs."""
        unlock(self.rpc, prepared.inputs)

    def close(self) -> None:
        """Hang up."""
        self.rpc.close()

    @property
    def capabilities(self) -> Capabilities:
        """What the daemon can do; asked once, and again at each :py:meth:`check`."""
        if self._capabilities is None:
            self._capabilities = detect_capabilities(self.rpc)
        return self._capabilities

    def _check_options(self, capabilities: Capabilities) -> None:
        if capabilities.is_modern:
            return
        for name in ("confirmation_target", "address_type"):
            if getattr(self.options, name) is not None:
                raise BackendRejectedError(
                    f"the daemon at {self.rpc.endpoint} is too old for the option {name} of the backend; leave it out"
                )

    def _fee_policy(self) -> FeePolicy:
        fee_rate, min_fee_rate, max_fee_rate = (
            self.options.fee_rate,
            self.options.min_fee_rate,
            self.options.max_fee_rate,
        )
        if max_fee_rate is None:
            max_fee_rate = self.coin.dust * _MAX_FEE_RATE_IN_DUST
            for name, rate in (("fee_rate", fee_rate), ("min_fee_rate", min_fee_rate)):
                if rate is not None and rate > max_fee_rate:
                    raise ConfigurationError(
                        f"{name} {rate:f} is above {max_fee_rate:f}, the default of max_fee_rate for "
                        f"{self.coin.symbol}; lower it, or set max_fee_rate"
                    )
        return FeePolicy(
            fee_rate=fee_rate,
            confirmation_target=self.options.confirmation_target,
            min_fee_rate=min_fee_rate,
            max_fee_rate=max_fee_rate,
        )

    def _max_tip_age(self) -> float | None:
        if self.options.max_tip_age is not None or self.network != "main":
            return self.options.max_tip_age
        return DEFAULT_MAX_TIP_AGE

    def _ask_since(self, checkpoint: str, depth: int) -> list[object | BackendRejectedError]:
        # The tip first: a block that arrives in between is then listed now and again, and not overlooked.
        return self.rpc.batch(
            [("getblockchaininfo", []), ("listsinceblock", [checkpoint, depth])],
            read=partial(read_replies, decimals=self.coin.decimals),
        )

    def _look_up(self, txids: Iterable[Txid]) -> dict[Txid, WalletTransaction]:
        asked = [txid for txid in dict.fromkeys(txids) if answers.looks_like_hash(txid)]
        found: dict[Txid, WalletTransaction] = {}
        for txid, answer in zip(asked, self.rpc.batch([("gettransaction", [txid]) for txid in asked]), strict=True):
            if not isinstance(answer, BackendRejectedError):
                found[txid] = listing.from_gettransaction(txid, answer, decimals=self.coin.decimals)
            elif answer.code != faults.NOT_FOUND:
                raise answer
        return found

    def _look_at_mempool(self, waiting: Sequence[Txid]) -> dict[Txid, WalletTransaction]:
        """Return anew those unconfirmed deposits that the mempool lacks, for ever or because they are mined."""
        if not waiting or not self.capabilities.tells_mempool:
            return {}
        missing = mempool.missing(self.rpc, waiting)
        # Asked after the mempool: what was mined in between has a confirmation now.
        return {txid: replace(now, forgotten=now.confirmations == 0) for txid, now in self._look_up(missing).items()}

    def _changes(self, tip: BlockHash, changes: Mapping[str, object]) -> ChainChanges:
        listed = changes.get("transactions")
        if not isinstance(listed, SpooledListing):
            raise answers.wrong(listed, "listsinceblock.transactions", "a list")
        # What left the chain: rows with its confirmations of today. Most of it is listed too, back in the mempool.
        rows = listing.group_by_txid(answers.mappings(changes.get("removed", []), "listsinceblock.removed"))
        removed = {txid: listing.from_listing(txid, rows[txid], decimals=self.coin.decimals) for txid in rows}
        checkpoint = answers.block_hash(changes.get("lastblock"), "listsinceblock.lastblock")
        looked_up = self._look_at_mempool(listed.waiting)
        return ChainChanges(tip=tip, checkpoint=checkpoint, transactions=_merged(listed, removed, looked_up))

    def _balances(self) -> tuple[Decimal, Decimal]:
        """Return what is confirmed or our own change, and what others sent and is not confirmed."""
        if self.capabilities.is_modern:
            balances = answers.mapping(self.rpc.call("getbalances"), "getbalances")
            mine = answers.mapping(balances.get("mine"), "getbalances.mine")
            values = mine.get("trusted"), mine.get("untrusted_pending")
        else:
            values = self.rpc.call("getbalance"), self.rpc.call("getunconfirmedbalance")
        trusted, pending = (answers.amount(value, "a balance", decimals=self.coin.decimals) for value in values)
        return trusted, pending

    def _young_deposits(self, confirmations: int) -> Decimal:
        """Add up the deposits among the trusted coins that have fewer confirmations."""
        height = answers.integer(self.rpc.call("getblockcount"), "getblockcount")
        start = self.rpc.call("getblockhash", height - confirmations + 1) if height >= confirmations else ""
        changes = answers.mapping(self.rpc.call("listsinceblock", start), "listsinceblock")
        young = Decimal(0)
        for row in answers.mappings(changes.get("transactions"), "listsinceblock.transactions"):
            age = answers.integer(row.get("confirmations", 0), "listed confirmations")
            counted = 0 < age < confirmations or (age == 0 and row.get("trusted") is True)
            if counted and row.get("category") != "immature" and listing.pays_wallet(row):
                young += answers.amount(row.get("amount"), "a listed amount", decimals=self.coin.decimals)
        return young


def _merged(
    listed: Iterable[WalletTransaction],
    removed: dict[Txid, WalletTransaction],
    looked_up: Mapping[Txid, WalletTransaction],
) -> Iterator[WalletTransaction]:
    """Hand out each transaction once: what is listed, then what left the chain and is not listed any more."""
    for each in listed:
        removed.pop(each.txid, None)
        yield looked_up.get(each.txid, each)
    yield from removed.values()
