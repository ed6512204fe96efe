"""Small utilities of the manual."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from cryptoassets_core.utils.danglingthreads import check_dangling_threads
from cryptoassets_core.utils.dictutil import MergeError, merge_dict
from cryptoassets_core.utils.enum import AutoNumber
from cryptoassets_core.utils.iterutil import grouper


def test_dictionaries_are_merged_at_every_depth() -> None:
    a = {"coins": {"btc": {"models": "m", "backend": {"url": "a", "timeout": 1}}}, "list": [1], "gone": 1}
    b = {"coins": {"btc": {"backend": {"url": "b"}}, "ltc": {}}, "list": [2], "gone": None}
    assert merge_dict(a, b) == {
        "coins": {"btc": {"models": "m", "backend": {"url": "b", "timeout": 1}}, "ltc": {}},
        "list": [2],
        "gone": None,
    }


def test_merging_leaves_its_arguments_alone_and_shares_nothing_with_them() -> None:
    def inner() -> dict[str, Any]:
        return {"x": {"y": [{"z": 1}]}}

    a, b = {"a": inner(), "both": inner()}, {"b": inner(), "both": {"new": inner()}}
    merged = merge_dict(a, b)
    merged["a"]["x"]["y"][0]["z"] = merged["b"]["x"]["y"][0]["z"] = merged["both"]["x"]["y"][0]["z"] = 2
    merged["both"]["new"]["x"]["more"] = 1
    assert a == {"a": inner(), "both": inner()}
    assert b == {"b": inner(), "both": {"new": inner()}}


@pytest.mark.parametrize("other", [1, None, "text", []])
def test_a_dictionary_and_something_else_are_not_merged(other: object) -> None:
    with pytest.raises(MergeError, match=r"^coins\.btc\.backend cannot be merged"):
        merge_dict({"coins": {"btc": {"backend": {}}}}, {"coins": {"btc": {"backend": other}}})
    with pytest.raises(MergeError, match=r"^coins cannot be merged"):
        merge_dict({"coins": other}, {"coins": {}})


def test_members_are_numbered_from_one() -> None:
    class Color(AutoNumber):
        red = ()
        green = ()

    assert [(member.name, member.value) for member in Color] == [("red", 1), ("green", 2)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6])
def test_groups_have_all_items_in_their_order(count: int) -> None:
    groups = list(grouper(3, iter(range(count))))
    assert [item for group in groups for item in group] == list(range(count))
    assert [len(group) for group in groups] == [3] * (count // 3) + [count % 3] * (count % 3 > 0)


def test_groups_of_what_is_endless_are_read_one_by_one() -> None:
    assert next(grouper(2, itertools.count())) == [0, 1]
    with pytest.raises(ValueError, match="above 0, not 0"):
        next(grouper(0, [1]))


def test_threads_that_do_not_end_are_named() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="somebody forgot me")
    before = threading.enumerate()
    check_dangling_threads(before)
    thread.start()
    with pytest.raises(AssertionError, match="did not end: somebody forgot me"):
        check_dangling_threads(before, patience_seconds=0.01)
    check_dangling_threads([*before, thread])
    end.set()
    check_dangling_threads(before)
