"""Tell systemd how the daemon is, where it was started by it: units of ``Type=notify``, with a watchdog or not."""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Send a state such as ``READY=1``; does nothing where nobody asked for it. Source: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"  # a name that is in no file system
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.sendto(state.encode(), address)
    except OSError as error:
        logger.debug("systemd cannot be told %s: %s", state, error)
