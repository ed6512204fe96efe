"""Exact offline verdicts on addresses: is this one that the coin's network can pay, and how is it stored?

Daemons are no judges here: they accept white space around Base58 addresses and witness programs that anybody can
spend. The verdict is the same for every string, however strange: its one canonical form, or BadAddress.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from cryptoassets_core.coin import base58, bech32
from cryptoassets_core.coin.base58 import decode_base58check, encode_base58check
from cryptoassets_core.coin.bech32 import decode_segwit, encode_segwit
from cryptoassets_core.coin.description import AddressRules
from cryptoassets_core.coin.redact import LONGEST_BASE58_ADDRESS, hidden, shown
from cryptoassets_core.errors import BadAddress

__all__ = [
    "AddressValidator",
    "HashAddressValidator",
    "NetworkCodeAddressValidator",
    "NullAddressValidator",
    "canonical_address",
    "decode_base58check",
    "decode_segwit",
    "encode_base58check",
    "encode_segwit",
]

#: Both kinds of Base58 address are a hash of 20 bytes.
_HASH_LENGTH: Final = 20

#: What makes a witness program of a known version spendable (BIP141, BIP341); others are anyone-can-spend.
_PROGRAM_LENGTHS: Final = {0: (20, 32), 1: (32,)}

#: Addresses of Litecoin's extension blocks (LIP-0002 and later): longer than bech32 allows, and nothing here pays them.
_MWEB_HRP_END: Final = "mweb"


def canonical_address(address: str, rules: AddressRules) -> str:
    """Return the one form in which an address is stored and compared.

    :param rules: how the network writes addresses.
    :returns: the address itself; segwit addresses in lower case, older Base58 forms in today's form.
    :raises BadAddress: the network cannot pay it; the reason says what is wrong. No other exception, whatever is given.
    """
    text = _plain_text(address)
    may_be_segwit = rules.bech32_hrp is not None and _begins_with(text, rules.bech32_hrp)
    if may_be_segwit and len(text) > LONGEST_BASE58_ADDRESS:
        return _canonical_segwit(text, rules)
    try:
        return _canonical_base58(text, rules)
    except BadAddress:
        # Only now: one Litecoin address of about 100,000 is Base58 and begins with "LTC1".
        if may_be_segwit:
            return _canonical_segwit(text, rules)
        raise


def _plain_text(address: object) -> str:
    """Refuse what cannot be an address of any kind, before any arithmetic on it."""
    if not isinstance(address, str):
        raise BadAddress(type(address), "is not text: an address is given as str")
    if not address:
        raise BadAddress(address, "is empty: an address is needed")
    if address[:20].partition("1")[0].lower().endswith(_MWEB_HRP_END):
        raise BadAddress(hidden(address), "is an MWEB address, which is not supported: use one of another type")
    if len(address) > bech32.MAX_LENGTH:
        raise BadAddress(hidden(address), f"is too long: an address has at most {bech32.MAX_LENGTH} characters")
    if address != address.strip():
        raise BadAddress(shown(address), "has white space before or after it: give the address alone")
    if not address.isascii() or not address.isprintable():
        position, character = next((at, c) for at, c in enumerate(address, 1) if not " " <= c <= "~")
        raise BadAddress(
            shown(address), f"has the character U+{ord(character):04X} at position {position}, which no address has"
        )
    return address


def _begins_with(text: str, hrp: str) -> bool:
    return text[: len(hrp) + 1].lower() == f"{hrp}1"


def _canonical_segwit(text: str, rules: AddressRules) -> str:
    found = decode_segwit(rules.bech32_hrp or "", text)
    if found.version not in rules.witness_versions:
        raise BadAddress(
            text,
            f"has witness version {found.version}, whose coins anybody could take: "
            f"known here are {_listed(rules.witness_versions)}",
        )
    lengths = _PROGRAM_LENGTHS.get(found.version)
    if lengths is not None and len(found.program) not in lengths:
        raise BadAddress(
            text,
            f"has a witness program of {len(found.program)} bytes, whose coins anybody could take: "
            f"version {found.version} has {_listed(lengths)}",
        )
    return text.lower()


def _canonical_base58(text: str, rules: AddressRules) -> str:
    try:
        if len(text) > LONGEST_BASE58_ADDRESS:
            raise BadAddress(hidden(text), f"is too long: {_expected(rules)}")
        found = base58.decode_base58check(text)
    except BadAddress as error:
        foreign_hrp = bech32.find_hrp(text)
        if foreign_hrp is None:
            raise
        raise BadAddress(
            shown(text), f"begins with '{foreign_hrp}1', which is another network or coin: {_expected(rules)}"
        ) from error
    if len(found.payload) != _HASH_LENGTH:
        raise BadAddress(text, f"holds {len(found.payload)} bytes, but an address holds a hash of {_HASH_LENGTH}")
    for versions in (rules.p2pkh, rules.p2sh):
        if found.version in versions:
            # An older form is the same script under another name, and daemons report payments under today's:
            # kept apart, a deposit would miss its owner and a batch would pay one script twice, which is refused.
            return text if found.version == versions[0] else encode_base58check(versions[0], found.payload)
    raise BadAddress(
        text, f"is an address of another network or coin (version byte {found.version}): {_expected(rules)}"
    )


def _expected(rules: AddressRules) -> str:
    kinds = f"version bytes {_listed(rules.p2pkh + rules.p2sh)}"
    return f"here they have {kinds}" + (f" or begin with '{rules.bech32_hrp}1'" if rules.bech32_hrp else "")


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


# --- Validators that a coin of one's own may name -----------------------------------------------------------


class AddressValidator(ABC):
    """Decides whether a text is an address, for coins whose addresses no :py:class:`AddressRules` describe."""

    @abstractmethod
    def validate_address(self, address: str, testnet: bool) -> bool:
        """Tell whether the address is good; must not raise.

        :param testnet: the coin is configured for a network whose coins are worthless.
        """


class HashAddressValidator(AddressValidator):
    """Only looks at the checksum: any Base58Check address of any coin passes, and any segwit address."""

    def validate_address(self, address: str, testnet: bool) -> bool:
        """Tell whether the checksum is right, on whichever network."""
        try:
            text = _plain_text(address)
            hrp = bech32.find_hrp(text)
            if hrp is not None:
                decode_segwit(hrp, text)
            else:
                decode_base58check(text)
        except BadAddress:
            return False
        return True


class NetworkCodeAddressValidator(AddressValidator):
    """Goes by the version bytes of two networks."""

    def __init__(self, main: AddressRules, test: AddressRules) -> None:
        self._main = main
        self._test = test

    def validate_address(self, address: str, testnet: bool) -> bool:
        """Tell whether the address belongs to the network."""
        try:
            canonical_address(address, self._test if testnet else self._main)
        except BadAddress:
            return False
        return True


class NullAddressValidator(AddressValidator):
    """Lets every text through; for tests and for networks without checksums."""

    def validate_address(self, address: str, testnet: bool) -> bool:
        """Say yes."""
        return True
