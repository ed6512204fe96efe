"""The conformance suites catch what is wrong: each planted defect fails the tests named here.

The usual run sees that those tests fail. ``-m stress`` runs the whole suite on each defect and sees that no other does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

HERE = Path(__file__).parent

#: Nothing in the books is right without right deposits.
DEPOSITS: Final = {
    "a_deposit_is_credited_when_it_is_deep_enough_and_once",
    "a_deposit_that_the_chain_takes_back_is_taken_back",
    "a_withdrawal_is_paid_once_and_all_it_cost_is_booked",
    "a_withdrawal_to_a_customer_is_one_debit_and_one_credit",
    "every_output_reaches_its_customer",
    "what_happens_while_the_backend_is_down_happens_afterwards",
}

#: Which tests of the backend suite each class of defective_backends.py fails.
BACKENDS: Final[Mapping[str, set[str]]] = {
    "SatoshiAsCoin": DEPOSITS
    | {
        "a_deposit_is_told_exactly",
        "a_deposit_that_left_the_chain_is_listed_without_confirmations",
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "every_output_is_told_those_to_one_address_too",
        "two_deposits_to_one_address_are_two",
    },
    "FloatAmount": DEPOSITS
    | {
        "a_deposit_is_told_exactly",
        "a_deposit_that_left_the_chain_is_listed_without_confirmations",
        "a_deposit_without_a_block_has_no_confirmations",
        "a_listing_says_what_a_look_up_says",
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "confirmations_grow_with_each_block",
        "every_output_is_told_those_to_one_address_too",
        "two_deposits_to_one_address_are_two",
    },
    "NegativeAmount": DEPOSITS
    | {
        "a_deposit_is_told_exactly",
        "a_deposit_that_left_the_chain_is_listed_without_confirmations",
        "a_deposit_without_a_block_has_no_confirmations",
        "a_listing_says_what_a_look_up_says",
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "confirmations_grow_with_each_block",
        "every_output_is_told_those_to_one_address_too",
        "two_deposits_to_one_address_are_two",
    },
    "RoundedAmount": DEPOSITS
    | {
        "a_deposit_is_told_exactly",
        "a_deposit_that_left_the_chain_is_listed_without_confirmations",
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "every_output_is_told_those_to_one_address_too",
        "two_deposits_to_one_address_are_two",
    },
    "LostOutput": {
        "every_output_is_told_those_to_one_address_too",
        "every_output_reaches_its_customer",
    },
    "MissingConfirmations": DEPOSITS
    | {
        "a_deposit_is_listed_until_it_is_as_deep_as_asked",
        "a_payment_confirms",
        "a_stale_checkpoint_hides_nothing",
        "confirmations_grow_with_each_block",
        "submitting_again_is_success_and_pays_once",
        "what_happened_meanwhile_is_listed_at_the_next_look",
    },
    "WrongBlockNamed": {
        "confirmations_grow_with_each_block",
    },
    "UnconfirmedCountsAsConfirmed": {
        "a_deposit_is_listed_until_it_is_as_deep_as_asked",
        "a_deposit_that_left_the_chain_is_listed_without_confirmations",
        "a_deposit_without_a_block_has_no_confirmations",
        "a_payment_costs_exactly_what_is_told",
        "confirmations_grow_with_each_block",
        "holding_and_releasing_a_published_transaction_harms_nothing",
    },
    "ConflictIsHidden": {
        "a_deposit_that_the_chain_takes_back_is_taken_back",
        "a_double_spent_deposit_is_dead_and_pays_nothing",
    },
    "RewardIsADeposit": {
        "a_block_reward_is_told_as_one_and_not_spendable_yet",
    },
    "FeeOfAByte": {
        "a_payment_costs_exactly_what_is_told",
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "the_fee_is_told_and_exact",
    },
    "DuplicatedTxid": {
        "a_listing_says_what_a_look_up_says",
    },
    "ForgottenCheckpoint": {
        "an_unknown_checkpoint_lists_all_there_is",
    },
    "CheckpointAtTheTip": {
        "a_deposit_is_listed_until_it_is_as_deep_as_asked",
    },
    "EverythingEachTime": {
        "what_is_deep_and_told_is_not_listed_again",
    },
    "UnknownIsAnError": {
        "an_empty_wallet_has_nothing_and_knows_nothing",
        "preparing_publishes_nothing",
        "threads_share_a_backend",
        "unknown_transactions_are_absent_and_harm_no_other",
        "what_is_down_is_unavailable_and_comes_back",
    },
    "SwallowedError": {
        "a_read_without_an_answer_is_no_answer",
        "what_is_down_is_unavailable_and_comes_back",
    },
    "WrongNetworkAccepted": {
        "another_network_is_refused",
    },
    "OneAddressForAll": {
        "a_withdrawal_to_a_customer_is_one_debit_and_one_credit",
        "addresses_are_new_valid_and_canonical",
        "each_customer_gets_addresses_that_the_books_take",
        "every_output_reaches_its_customer",
        "threads_make_different_addresses",
        "what_happens_while_the_backend_is_down_happens_afterwards",
    },
    "ShoutedAddress": {
        "a_block_reward_is_told_as_one_and_not_spendable_yet",
        "a_deposit_is_told_exactly",
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "addresses_are_new_valid_and_canonical",
        "every_output_is_told_those_to_one_address_too",
        "two_deposits_to_one_address_are_two",
    },
    "NotForThreads": {
        "threads_make_different_addresses",
    },
    "PublishedWhilePrepared": {
        "a_rival_in_the_mempool_is_no_proof_and_one_in_a_block_is",
        "held_coins_are_kept_until_they_are_released",
        "preparing_publishes_nothing",
        "preparing_reserves_nothing",
    },
    "HeldWhilePrepared": {
        "a_rival_in_the_mempool_is_no_proof_and_one_in_a_block_is",
        "preparing_reserves_nothing",
    },
    "HoldsNothing": {
        "held_coins_are_kept_until_they_are_released",
        "two_held_transactions_share_no_coin",
    },
    "ReleasesNothing": {
        "held_coins_are_kept_until_they_are_released",
    },
    "SubmitIsNotIdempotent": {
        "holding_and_releasing_a_published_transaction_harms_nothing",
        "submitting_again_is_success_and_pays_once",
    },
    "SignsAnewAtEachSubmission": {
        "submitting_again_is_success_and_pays_once",
    },
    "DoubtIsDeath": {
        "a_rival_in_the_mempool_is_no_proof_and_one_in_a_block_is",
    },
    "DeathIsDoubt": {
        "a_rival_in_the_mempool_is_no_proof_and_one_in_a_block_is",
    },
    "LostAnswerIsAFailure": {
        "a_submission_without_an_answer_is_in_doubt_until_it_is_repeated",
    },
    "WrongRecipientNamed": {
        "a_bad_recipient_is_named_and_the_others_can_be_paid",
        "dust_is_refused_and_named",
    },
    "FeeFromTheRecipient": {
        "a_payment_costs_exactly_what_is_told",
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "a_submission_without_an_answer_is_in_doubt_until_it_is_repeated",
        "a_withdrawal_is_paid_once_and_all_it_cost_is_booked",
        "a_withdrawal_to_a_customer_is_one_debit_and_one_credit",
        "submitting_again_is_success_and_pays_once",
        "the_fee_is_told_and_exact",
        "too_little_in_the_wallet_is_said_and_spends_nothing",
    },
    "NegativeMeansPositive": {
        "an_impossible_amount_is_refused",
    },
    "FeeOfNothing": {
        "a_payment_to_ourselves_comes_in_and_goes_out",
        "a_submission_without_an_answer_is_in_doubt_until_it_is_repeated",
        "submitting_again_is_success_and_pays_once",
        "the_fee_is_told_and_exact",
    },
}

#: Which tests of their suites the classes of defective_channels.py fail, likewise.
CHANNELS: Final[Mapping[str, set[str]]] = {
    "DiesOnPoison": {"poison_is_survived_and_not_passed_on", "a_receiver_that_fails_does_not_end_the_channel"},
    "LosesALine": {"many_txids_arrive_all"},
    "Spins": {"waiting_costs_no_processor_time"},
    "PassesOnAnything": {"poison_is_survived_and_not_passed_on"},
    "BlocksAreTransactions": {"a_new_block_is_passed_on_as_such"},
    "SwallowsFailures": {"a_refusal_is_said_and_the_next_attempt_succeeds", "what_json_cannot_carry_is_not_taken"},
    "DropsTheId": {
        "a_refusal_is_said_and_the_next_attempt_succeeds",
        "a_repeat_carries_the_same_id",
        "an_event_arrives_whole",
        "events_arrive_in_order",
    },
    "MakesAmountsNumbers": {"an_event_arrives_whole"},
    "ShowsItsSecret": {"a_refusal_is_said_and_the_next_attempt_succeeds"},
    "EscapesText": {"difficult_text_arrives_unchanged"},
}

#: And those of defective_wires.py.
WIRES: Final[Mapping[str, set[str]]] = {
    "GivesUp": {
        "after_an_interruption_it_goes_on_and_the_chain_is_looked_at",
        "it_can_be_stopped_while_it_is_cut_off",
    },
    "ForgetsTheGap": {"after_an_interruption_it_goes_on_and_the_chain_is_looked_at"},
    "HidesTheProblem": {
        "after_an_interruption_it_goes_on_and_the_chain_is_looked_at",
        "it_can_be_stopped_while_it_is_cut_off",
    },
    "NeverWellAgain": {"after_an_interruption_it_goes_on_and_the_chain_is_looked_at"},
    "CannotBeStoppedWhileCutOff": {"it_can_be_stopped_while_it_is_cut_off"},
}

MODULES: Final = [
    ("defective_backends.py", BACKENDS),
    ("defective_channels.py", CHANNELS),
    ("defective_wires.py", WIRES),
]


class Results:
    """Collects what failed, by the class of the defect."""

    def __init__(self) -> None:
        self.failed: defaultdict[str, set[str]] = defaultdict(set)
        self.passed: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            _, case, test = report.nodeid.split("::")
            name = test.partition("[")[0].removeprefix("test_")
            (self.failed if report.failed else self.passed)[case.removeprefix("Test")].add(name)


def run(module: str, selection: Sequence[str], directory: Path) -> Results:
    """Run a module of defects in a pytest of its own, inside of this one."""
    results = Results()
    options = ["-q", "--no-header", "--no-summary", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
    settings = ["-c", str(HERE.parent.parent / "pyproject.toml"), f"--basetemp={directory}"]
    ids = [f"{HERE / module}{test}" for test in selection] or [str(HERE / module)]
    pytest.main([*options, *settings, *ids], plugins=[results])
    return results


#: Books take longest: the usual run keeps them for this fault.
_WITH_BOOKS: Final = {"SatoshiAsCoin"}


@pytest.mark.parametrize(("module", "expected"), MODULES)
def test_each_planted_defect_is_caught_by_name(module: str, expected: Mapping[str, set[str]], tmp_path: Path) -> None:
    expected = {defect: tests - (set() if defect in _WITH_BOOKS else DEPOSITS) for defect, tests in expected.items()}
    selection = [f"::Test{defect}::test_{test}" for defect, tests in expected.items() for test in sorted(tests)]
    results = run(module, selection, tmp_path / "inner")
    assert results.failed == expected


@pytest.mark.stress
@pytest.mark.parametrize(("module", "expected"), MODULES)
def test_no_planted_defect_fails_what_it_does_not_concern(
    module: str, expected: Mapping[str, set[str]], tmp_path: Path
) -> None:
    results = run(module, [], tmp_path / "inner")
    assert results.failed == expected
    assert all(len(results.passed[defect]) > 5 for defect in expected)
