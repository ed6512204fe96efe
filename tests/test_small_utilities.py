"""Small utilities of the manual."""

from __future__ import annotations

from typing import Any

import pytest

from cryptoassets_core.utils.dictutil import MergeError, merge_dict
from cryptoassets_core.utils.enum import AutoNumber


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
