"""What an error may show of a text that was given as an address.

People paste private keys and seed phrases into address fields; those must not reach a log. Every one of them is longer
than the longest Base58 address, so longer texts are shown only where they are known to be addresses.
"""

from __future__ import annotations

from typing import Final

#: 25 bytes in Base58: version, hash of 20 bytes, checksum.
LONGEST_BASE58_ADDRESS: Final = 35


def shown(text: str) -> str:
    """Return the text, or what stands for it when it could be a secret."""
    return text if len(text) <= LONGEST_BASE58_ADDRESS else hidden(text)


def hidden(text: str) -> str:
    """Return what stands for a text that is not to be shown."""
    return f"[{len(text)} characters, not shown]"
