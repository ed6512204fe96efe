"""What the programs that tell the story have in common: however they end, nothing is left behind."""

from __future__ import annotations

import io
import logging
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

from narrator import TerminalNarrator
from processes import SIGNALS, StoryError

from cryptoassets_core.errors import CryptoAssetsError

#: As shells have it for a program that Ctrl-C ended.
_EXIT_INTERRUPTED: Final = 130


def run(tell: Callable[[TerminalNarrator], None], *, title: str, sentence: str) -> int:
    """Tell a story that cleans up when an exception ends it, and return the exit code."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    # The simulated network warns that it is one, and so does the title.
    logging.getLogger("cryptoassets_simnet").setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character shall miss that and not the whole story.
        sys.stdout.reconfigure(errors="replace")
    narrator = TerminalNarrator()
    narrator.title(title, sentence)
    try:
        tell(narrator)
    except KeyboardInterrupt:
        narrator.failure("Interrupted. Nothing is left running, and all files were removed.")
        return _EXIT_INTERRUPTED
    except (StoryError, CryptoAssetsError) as error:
        narrator.failure(f"The story failed: {error}")
        return 1
    narrator.say("Nothing is left running, and all files were removed.")
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    # By default most signals would end us at once, and a second Ctrl-C would end the cleaning up.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
