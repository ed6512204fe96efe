"""What a channel that carries lines of text is told, and by whom nobody knows: a hint is taken, all else is refused."""

from __future__ import annotations

import logging
import re
from typing import Final

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.walletnotify.base import NEW_BLOCK, Notify

logger = logging.getLogger(__name__)

#: Bytes of a line that count, its last ones: room for ``block`` and a hash.
LINE_BYTES: Final = 128

#: A hash at the end. What stands before it is left over from a writer who died in the middle of a line.
_HINT: Final = re.compile(rb"(block )?([0-9a-f]{64})\Z", re.IGNORECASE)


class Hints:
    """Passes on what makes sense and counts it; never raises.

    :ivar taken: how many hints were passed on.
    :ivar refused: how many lines were no hint.
    """

    def __init__(self, channel: str, notify: Notify) -> None:
        """
        :param channel: how the log calls the channel.
        """
        self.taken = 0
        self.refused = 0
        self._channel = channel
        self._notify = notify

    def take(self, line: bytes) -> None:
        """Look at a line: a txid, or ``block`` and a block's hash."""
        line = line.strip()[-LINE_BYTES:]
        found = _HINT.search(line)
        if found is None:
            self.refused += 1
            logger.warning("%s refused the line %s", self._channel, _shown(line))
            return
        self.taken += 1
        self.pass_on(NEW_BLOCK if found[1] else Txid(found[2].decode().lower()))

    def pass_on(self, hint: Txid) -> None:
        """Notify; a receiver that fails does not end the channel."""
        logger.debug("%s: %s", self._channel, hint)
        try:
            self._notify(hint)
        except Exception:
            logger.exception("%s: a notification could not be passed on", self._channel)


def _shown(line: bytes) -> str:
    """Write what was refused on one line of a log."""
    return ascii(line if len(line) <= 40 else line[:40] + b"...")
