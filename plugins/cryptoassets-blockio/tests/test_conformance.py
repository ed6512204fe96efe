"""The backend keeps the kernel's contract, on the stand-in and for every coin of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from cryptoassets_blockio import client as client_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.testing.world import BlockIoWorld
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.testing.backendsuite import BackendSuite


class TestBlockIoBackend(BackendSuite):
    """It cannot tell block rewards from other deposits, and the service reserves no coins."""

    backend_class = BlockIoBackend
    can_create_addresses = can_receive = can_mine = can_list_changes = can_reorg = can_double_spend = True
    can_send = can_tell_fee = can_tell_bad_recipient = can_tell_dust = True
    can_tell_network = can_go_down = can_lose_answers = True
    knows_blocks = can_reserve = False

    @pytest.fixture
    def world(self, coin: CoinDescription, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockIoWorld]:
        monkeypatch.setattr(client_module, "RETRY_PAUSES", (0.0,))
        with closing(BlockIoWorld(coin)) as world:
            yield world
