"""``class`` takes any class that can be imported: a backend, a notification channel, an event sink of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable
from cryptoassets_simnet.backend import SimnetBackend


class MyBackend(SimnetBackend):
    """Takes the options of its ancestor."""

    from cryptoassets_simnet.backend import SimnetOptions as Options


class Bell(IncomingTransactionRunnable):
    """Has no options at all."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def is_alive(self) -> bool:
        return True


class Diary(EventSink):
    """Has options of its own."""

    class Options(EventSinkOptions):
        color: str = "red"

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options)
        self.color = options.color

    def deliver(self, event: Event) -> None: ...


class Half(CoinBackend):
    """Forgot most of it."""

    def check(self) -> None: ...


class Odd(Diary):
    Options = dict  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def shop() -> Iterator[None]:
    module = ModuleType("shop_of_mine")
    for kind in (MyBackend, Bell, Diary, Half, Odd):
        setattr(module, kind.__name__, kind)
    sys.modules["shop_of_mine"] = module
    yield
    del sys.modules["shop_of_mine"]


def load(backend: dict[str, Any] | None = None, sink: dict[str, Any] | None = None) -> CryptoAssetsApp:
    app = CryptoAssetsApp([Subsystem.database, Subsystem.backend, Subsystem.event_handler_registry])
    coins = {"btc": {"network": "regtest", "backend": backend}} if backend else {}
    events = {"mine": sink} if sink else {}
    Configurator(app).load_from_dict({"database": {"url": "sqlite://"}, "coins": coins, "events": events})
    return app


def test_classes_of_ones_own_are_used() -> None:
    app = load(
        {"class": "shop_of_mine.MyBackend", "path": "/nowhere", "walletnotify": {"class": "shop_of_mine.Bell"}},
        {"class": "shop_of_mine.Diary", "color": "blue"},
    )
    assert type(app.coins.get("btc").backend) is MyBackend
    assert app.walletnotify["btc"].type.factory is Bell
    (sink,) = app.event_handler_registry.get_all()
    assert isinstance(sink, Diary)
    assert sink.color == "blue"


def test_class_that_a_plugin_brings_has_the_options_that_the_plugin_declares() -> None:
    app = load({"class": "cryptoassets_simnet.backend.SimnetBackend", "path": "/nowhere"})
    assert type(app.coins.get("btc").backend) is SimnetBackend


@pytest.mark.parametrize(
    ("backend", "sink", "words"),
    [
        ({"class": "shop_of_mine.Nothing"}, None, "coins.btc.backend.class: 'shop_of_mine.Nothing' cannot be imported"),
        ({"class": "no_such_shop.Backend"}, None, "No module named 'no_such_shop'"),
        ({"class": "json.JSONDecoder"}, None, "json.JSONDecoder must be a class derived from CoinBackend"),
        ({"class": "shop_of_mine.Diary"}, None, "must be a class derived from CoinBackend"),
        ({"class": "shop_of_mine.Half"}, None, "shop_of_mine.Half is not complete: it lacks create_address"),
        ({"class": "shop_of_mine.MyBackend", "pth": 1}, None, "backend.pth: unknown option; did you mean 'path'?"),
        ({"class": "shop_of_mine.MyBackend", "name": "simnet"}, None, "name and class both say which backend it is"),
        ({"class": 5}, None, "coins.btc.backend.class: this must be text"),
        ({"name": ["simnet"]}, None, "coins.btc.backend.name: this must be text"),
        ({"class": "bitcond"}, None, "did you mean 'bitcoind'?"),
        (
            {"name": "simnet", "path": "x", "walletnotify": {"class": "shop_of_mine.Bell", "loud": True}},
            None,
            "coins.btc.backend.walletnotify.loud: unknown option",
        ),
        ({"name": "simnet", "path": "x", "walletnotify": "http"}, None, "name the notification channel in a section"),
        (None, {"class": "shop_of_mine.Odd"}, "Odd.Options must be a class derived from EventSinkOptions"),
    ],
)  # fmt: skip
def test_wrong_class_is_told_by_its_place(backend: Any, sink: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(backend, sink)
    assert words in str(refused.value)
