"""A payout is mined under another txid, as anybody can bring about where its inputs are not segwit (Mt. Gox, 2014)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fault_proxy import Fault
from fault_stage import Trial


def twin(trial: Trial, raw: str) -> str:
    """Make a transaction with the same inputs and outputs and another txid."""
    decoded: Any = trial.node.rpc("decoderawtransaction", raw)
    spent = [{"txid": each["txid"], "vout": each["vout"], "sequence": 5} for each in decoded["vin"]]
    outputs = [{each["scriptPubKey"]["addresses"][0]: each["value"]} for each in decoded["vout"]]
    unsigned = trial.node.rpc("createrawtransaction", spent, outputs)
    return str(trial.own("signrawtransactionwithwallet", unsigned)["hex"])


def fund_legacy(trial: Trial) -> None:
    """Give the hot wallet nothing but a coin whose spender's txid depends on the signature."""
    trial.network.pay(str(trial.own("getnewaddress", "", "legacy")), Decimal(3))
    trial.network.mine(3)
    trial.lost -= Decimal(3)


@pytest.mark.parametrize("moment", ["before it is published", "after it was published"])
def test_payout_that_is_mined_under_another_txid_is_settled_under_that_one(trial: Trial, moment: str) -> None:
    trial.start()
    trial.fund("1")
    own: Any = trial.own("listunspent")
    trial.own("lockunspent", False, [{"txid": coin["txid"], "vout": coin["vout"]} for coin in own])
    fund_legacy(trial)
    mined: list[str] = []

    def mine_twin(raw: str) -> None:
        signed = twin(trial, raw)
        mined.append(trial.node.rpc("decoderawtransaction", signed)["txid"])
        trial.node.rpc("generateblock", trial.network.outside_address(), [signed])

    if moment == "before it is published":
        trap = trial.proxy.trap(
            "sendrawtransaction", Fault.NONE, arrived=lambda calls: mine_twin(calls[0]["params"][0])
        )
        asked = trial.withdraw("0.5")
        trial.until(trap.sprung.is_set, "the other one is mined")
    else:
        asked = trial.withdraw("0.5")
        trial.until(trial.is_left, "the withdrawal leaves")
        # What the wallet has published it signs no other transaction for; the node knows nothing of the wallet's keys.
        mine_twin(trial.broadcasts()[0].raw)
    trial.until(lambda: trial.broadcasts()[0].txid == mined[0], "the broadcast is known by the mined txid")
    trial.settle()
    (broadcast,) = trial.broadcasts()
    assert (broadcast.state, broadcast.txid) == ("live", mined[0])
    told = [update for update in trial.application.updates.all() if update.transaction == asked.id]
    assert told[-1].txid == mined[0]
