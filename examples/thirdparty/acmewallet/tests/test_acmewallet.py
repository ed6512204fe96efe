"""The backend passes the suite for backends, on a service that comes and goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from acme_service import AcmeWorld
from acmewallet.backend import AcmeBackend

from cryptoassets_core.testing import BackendSuite, BackendWorld


class TestAcmeBackend(BackendSuite):
    backend_class = AcmeBackend
    can_create_addresses = can_receive = can_mine = can_list_changes = can_reorg = can_double_spend = True
    can_send = can_tell_fee = can_tell_bad_recipient = can_tell_dust = True
    can_tell_network = can_go_down = can_lose_answers = True

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[BackendWorld]:
        with closing(AcmeWorld(tmp_path / "chain")) as world:
            yield world
