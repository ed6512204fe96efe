"""The simulated network keeps the contract of backends, in every point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.testing.backendsuite import BackendSuite
from cryptoassets_simnet.backend import SimnetBackend
from cryptoassets_simnet.testing import SimnetWorld


class TestSimnetBackend(BackendSuite):
    backend_class = SimnetBackend
    can_create_addresses = can_receive = can_mine = can_list_changes = can_reorg = can_double_spend = can_reward = True
    can_send = can_tell_fee = can_tell_bad_recipient = can_tell_dust = True
    can_tell_network = can_go_down = can_lose_answers = True

    @pytest.fixture
    def world(self, path: Path, coin: CoinDescription) -> Iterator[SimnetWorld]:
        with closing(SimnetWorld(path, coin)) as world:
            yield world
