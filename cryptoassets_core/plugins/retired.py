"""Things of the 2015 library that are not offered any more, and what to use in their place."""

from __future__ import annotations

from typing import Final

#: Beginning of a dotted or short name, and the sentence for whoever still writes it.
_RETIRED: Final = {
    "cryptoassets.core.backend.blockchain": (
        "blockchain.info is not offered any more, and was disabled in 2015 already; "
        "use the backend 'bitcoind' with a daemon of your own, or 'blockio'"
    ),
    "blockchain": "blockchain.info is not offered; use the backend 'bitcoind' with a daemon of your own, or 'blockio'",
    "cryptoassets.core.utils.tunnel": (
        "tunnels by ngrok are not offered any more; let a web server of yours pass the requests on, "
        "or forward the port with ssh -R"
    ),
    "cryptoassets.core.event.shell": "use the event sink 'script', which runs a program for each event",
}


def advice_on(name: str) -> str | None:
    """Return the sentence about a name of something that is gone, None if it is none."""
    for beginning, sentence in _RETIRED.items():
        if name == beginning or name.startswith(f"{beginning}."):
            return f"{name!r} belongs to the past: {sentence}"
    return None
