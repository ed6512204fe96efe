"""Finds what a section of the configuration asks for: a plugin's type by its name, or any class by its dotted path."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import BaseModel

from cryptoassets_core.backend.base import BackendOptions, BackendType, CoinBackend
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.base import EventSink, EventSinkOptions, EventSinkType
from cryptoassets_core.loading import load_class
from cryptoassets_core.plugins.catalogue import Catalogue
from cryptoassets_core.validation import at, validate
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable, WalletNotifyOptions, WalletNotifyType

#: Dotted names of the 2015 library, of which no module is left to import.
_OF_2015: Final = "cryptoassets.core."


class ConfigurableType(Protocol):
    """What the types of backends, notification channels and event sinks have in common."""

    @property
    def name(self) -> str:
        """The short name."""

    @property
    def legacy_names(self) -> tuple[str, ...]:
        """Dotted names of older configuration files."""

    @property
    def factory(self) -> type[Any] | str:
        """The class."""

    @property
    def options(self) -> type[BaseModel] | str:
        """The model of its options."""


T = TypeVar("T", bound=ConfigurableType)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One of the three kinds of things that a section may ask for."""

    #: What plugins declare.
    declared: type[T]
    #: What the class must derive from, and the model of its options.
    base: type[Any]
    options_base: type[BaseModel]
    #: For the message to whoever names none.
    what: str
    example: str


BACKEND: Final = Kind(BackendType, CoinBackend, BackendOptions, "backend", "bitcoind")
WALLETNOTIFY: Final = Kind(
    WalletNotifyType, IncomingTransactionRunnable, WalletNotifyOptions, "notification channel", "http"
)
EVENT_SINK: Final = Kind(EventSinkType, EventSink, EventSinkOptions, "event sink", "http")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """What a section asks for, checked and not made yet."""

    type: T
    #: An instance of the model of its options.
    options: Any


def choose(kind: Kind[T], catalogue: Catalogue[T], data: object, *, path: str, also: Iterable[str] = ()) -> Choice[T]:
    """Read a section that chooses by ``name``, or by ``class`` with a dotted path.

    :param catalogue: what plugins bring.
    :param path: where the section stands, for messages.
    :param also: options of the section that the caller reads itself.
    :raises ConfigurationError: nobody brings it, it cannot be imported, or its options are wrong.
    """
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{path}: name the {kind.what} in a section, for example name: {kind.example}")
    options = {key: value for key, value in data.items() if key not in {"name", "class", *also}}
    # A bare null is YAML's way to read the name of a backend.
    name = "null" if "name" in data and data["name"] is None else data.get("name")
    found = _find(kind, catalogue, name, data.get("class"), path=path)
    with at(path):
        model = load_class(found.options, kind.options_base)
    return Choice(found, validate(model, options, path=path, also=["name", *also]))


def _find(kind: Kind[T], catalogue: Catalogue[T], name: object, dotted: object, *, path: str) -> T:
    if name is None and dotted is None:
        raise ConfigurationError(f"{path}: name the {kind.what}, for example name: {kind.example}")
    if name is not None and dotted is not None:
        raise ConfigurationError(f"{path}: name and class both say which {kind.what} it is; keep one of them")
    for key, value in (("name", name), ("class", dotted)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{path}.{key}: this must be text, such as {kind.example}")
    if dotted is None:
        return catalogue.get(str(name), where=path)
    wanted = str(dotted)
    known = catalogue.find(wanted) or _by_class(catalogue, wanted)
    if known is not None:
        return known
    if "." not in wanted or wanted.startswith(_OF_2015):
        return catalogue.get(wanted, where=path)
    with at(f"{path}.class"):
        return _foreign(kind, wanted)


def _by_class(catalogue: Catalogue[T], wanted: str) -> T | None:
    """Find what a plugin brings by the class's own dotted name, and so with the options that the plugin declares."""
    for _, entry in catalogue.all():
        own = entry.factory
        if wanted == (own if isinstance(own, str) else f"{own.__module__}.{own.__qualname__}"):
            return entry
    return None


def _foreign(kind: Kind[T], dotted: str) -> T:
    """Take any class; its attribute ``Options`` is the model of its options, without it there are none."""
    found = load_class(dotted, kind.base)
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ConfigurationError(f"{dotted} is not complete: it lacks {missing}")
    options = getattr(found, "Options", kind.options_base)
    if not (isinstance(options, type) and issubclass(options, kind.options_base)):
        raise ConfigurationError(f"{dotted}.Options must be a class derived from {kind.options_base.__name__}")
    return kind.declared(name=dotted, factory=found, options=options)  # type: ignore[call-arg]
