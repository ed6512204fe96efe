"""What ``cryptoassets blockio check`` finds out: each fact on its own, so that one fault hides no other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.draft import Draft
from cryptoassets_blockio.official import check_pin
from cryptoassets_blockio.options import BlockIoWebhookOptions, BlockIoWebsocketOptions
from cryptoassets_blockio.webhook import registrations
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_core.amounts import format_amount
from cryptoassets_core.app import CryptoAssetsApp, Subsystem, WalletNotifySetup
from cryptoassets_core.cli.output import print_json, print_rows
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import BackendError, ConfigurationError, InsufficientHotWalletFunds


class Verdict(StrEnum):
    """How it stands with a fact."""

    RIGHT = "right"
    WRONG = "wrong"
    #: It cannot be told now, or it is as it was left on purpose.
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about a coin's account."""

    coin: str
    what: str
    verdict: Verdict
    detail: str


def run(config_file: str, *, as_json: bool) -> int:
    """Print what there is to say about each account of a configuration, and return the exit code.

    :raises ConfigurationError: the file makes no sense, or has no such account.
    """
    # What is logged on the way is what is found, and on this screen it would stand twice.
    logging.getLogger("cryptoassets_blockio").addHandler(logging.NullHandler())
    app = CryptoAssetsApp([Subsystem.backend])
    Configurator(app).load_yaml_file(config_file)
    backends = {name: coin.backend for name, coin in app.coins.all() if isinstance(coin.backend, BlockIoBackend)}
    if not backends:
        raise ConfigurationError("no coin of the configuration has the backend blockio, so there is nothing to check")
    findings = [each for name, found in backends.items() for each in look_at(name, found, app.walletnotify.get(name))]
    if as_json:
        print_json(findings)
    else:
        print_rows("block.io", [asdict(finding) for finding in findings])
    return 1 if any(finding.verdict is Verdict.WRONG for finding in findings) else 0


def look_at(name: str, backend: BlockIoBackend, walletnotify: WalletNotifySetup | None) -> Iterator[Finding]:
    """Find out about one account; what depends on a key that is refused is not asked."""
    try:
        backend.check()
    except BackendError as error:
        yield Finding(name, "key and network", Verdict.WRONG, str(error))
        return
    yield Finding(name, "key and network", Verdict.RIGHT, f"the key is taken, and is for {backend.service_network}")
    for what, question in (("balance", _balance), ("PIN", _pin), ("fee limits", _fees)):
        yield _answered(name, what, partial(question, backend))
    yield _answered(name, "notifications", partial(_notifications, backend, walletnotify))


def _answered(name: str, what: str, question: Callable[[], tuple[Verdict, str]]) -> Finding:
    try:
        verdict, detail = question()
    except InsufficientHotWalletFunds:
        verdict, detail = (
            Verdict.OPEN,
            "it shows with a prepared transaction only, for which the wallet holds too little",
        )
    except BackendError as error:
        verdict, detail = Verdict.WRONG, str(error)
    return Finding(name, what, verdict, detail)


def _balance(backend: BlockIoBackend) -> tuple[Verdict, str]:
    everything, confirmed = backend.get_backend_balance(), backend.get_backend_balance(1)
    coming_in = format_amount(everything - confirmed)
    return Verdict.RIGHT, f"{format_amount(confirmed)} {backend.coin.symbol.upper()}, and {coming_in} coming in"


def _prepared(backend: BlockIoBackend) -> Draft:
    """Have a small payment to ourselves prepared; it is never signed."""
    draft = backend.preparation.ask({backend.own_address(): backend.coin.dust * 100})
    backend.preparation.expectation.check_origins(draft)
    return draft


def _pin(backend: BlockIoBackend) -> tuple[Verdict, str]:
    if backend.options.pin is None:
        return Verdict.OPEN, "there is none: the account receives and cannot send"
    check_pin(_prepared(backend).user_key, backend.options.pin.get_secret_value())
    return Verdict.RIGHT, "it unlocks the account's key"


def _fees(backend: BlockIoBackend) -> tuple[Verdict, str]:
    draft = _prepared(backend)
    limits = backend.preparation.expectation.limits
    # A payment so small says nothing about a share of it.
    backend.preparation.expectation.check_network_fee(draft)
    service_fee = draft.cost - draft.network_fee
    return Verdict.RIGHT, (
        f"a transaction costs {format_amount(draft.network_fee)} now, and {format_amount(service_fee)} for the "
        f"service; the limits are {format_amount(limits.max_fee_rate)} for 1000 bytes and "
        f"{limits.max_service_fee:f} %"
    )


def _notifications(backend: BlockIoBackend, walletnotify: WalletNotifySetup | None) -> tuple[Verdict, str]:
    options = None if walletnotify is None else walletnotify.options
    if isinstance(options, BlockIoWebsocketOptions):
        return _websocket(backend, options)
    if isinstance(options, BlockIoWebhookOptions):
        ours = registrations(backend.client, options.url.get_secret_value())
        if not ours:
            return Verdict.OPEN, "the webhook is not registered: the daemon does that when it starts"
        if ours[0].get("enabled") is False:
            return Verdict.WRONG, "block.io disabled the webhook after failures; the daemon enables it again"
        return Verdict.RIGHT, "the webhook is registered"
    return Verdict.OPEN, "none of block.io's are configured: deposits show with the next poll"


def _websocket(backend: BlockIoBackend, options: BlockIoWebsocketOptions) -> tuple[Verdict, str]:
    handler = BlockIoWebsocketHandler(options, lambda _txid: None)
    handler.attach(backend)
    handler.start()
    try:
        problem = handler.problem()
        return (Verdict.RIGHT, "the websocket takes our subscription") if problem is None else (Verdict.WRONG, problem)
    finally:
        handler.stop()
