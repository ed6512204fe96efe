"""An account's statement is what the audit sees, page by page."""

from __future__ import annotations

from decimal import Decimal

import pytest
from kit import PaperBackend, Till, address, seen

from cryptoassets_core.errors import CryptoAssetsError
from cryptoassets_core.ledger.statement import StatementLine
from cryptoassets_core.models.wallet import Transfer

Line = tuple[int, Decimal, Decimal, int]


def page(till: Till, account_id: int, before: int | None = None, limit: int = 50) -> list[Line]:
    def plain(line: StatementLine) -> Line:
        return line.entry, line.change, line.balance_after, line.transaction.id

    def read(session: object) -> list[Line]:
        account = session.get_one(till.coin.account_model, account_id)  # type: ignore[attr-defined]
        return [plain(line) for line in account.get_statement(before=before, limit=limit)]

    return till.run(read)


def recomputed(till: Till, account_id: int) -> list[Line]:
    """Go through all rows as the audit does, and turn the result over."""
    entries: dict[int, tuple[Decimal, int]] = {}
    for row in till.rows():
        if row.sending_account_id == account_id:
            entries[row.sending_entry] = -row.amount, row.id
        if row.receiving_account_id == account_id and row.receiving_entry is not None:
            entries[row.receiving_entry] = row.amount, row.id
    lines, balance = [], Decimal(0)
    for entry, (change, id_) in sorted(entries.items()):
        balance += change
        lines.append((entry, change, balance, id_))
    return lines[::-1]


def busy_account(till: Till) -> int:
    a, b = till.accounts("10", "10")
    to = till.receiving_address(a)
    till.chain_says(seen("stays", {to: "0.5"}, 3), seen("goes", {to: "0.25"}, 3), seen("waits", {to: "9"}, 1))

    def work(wallet: object) -> None:
        wallet.send_internal_many(  # type: ignore[attr-defined]
            [Transfer(*((a, b) if n % 3 else (b, a)), Decimal(n + 1).scaleb(-8)) for n in range(23)]
        )
        wallet.send_external(a, address("sent"), Decimal(1), None)  # type: ignore[attr-defined]
        wallet.cancel_withdrawal(wallet.send_external(a, address("x"), Decimal(1), None))  # type: ignore[attr-defined]

    till.do("shop", work)
    till.chain_says(seen("goes", {}, -1))
    till.broadcaster(PaperBackend()).do_broadcasts()
    return a


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
def test_pages_put_together_are_the_whole_history_newest_first(till: Till, limit: int) -> None:
    account = busy_account(till)
    lines: list[Line] = []

    while part := page(till, account, before=lines[-1][0] if lines else None, limit=limit):
        assert len(part) <= limit
        lines += part

    assert lines == recomputed(till, account)
    assert [line[0] for line in lines] == list(range(len(lines), 0, -1))
    assert lines[0][2] == till.balance(account)


def test_page_stays_what_it_was_when_entries_come(till: Till) -> None:
    account = busy_account(till)
    first = page(till, account, limit=5)
    second = page(till, account, before=first[-1][0], limit=5)

    till.do("shop", lambda wallet: wallet.import_balance(account, Decimal(1)))

    assert page(till, account, before=first[-1][0], limit=5) == second


def test_account_without_entries_has_an_empty_statement(till: Till) -> None:
    assert page(till, till.account("a")) == []


@pytest.mark.parametrize(
    "bad",
    [{"limit": 0}, {"limit": -1}, {"limit": 2**70}, {"limit": "5"}, {"before": -1}, {"before": "1"}, {"before": 1.5}],
)
def test_page_that_cannot_be_is_refused(till: Till, bad: dict[str, int]) -> None:
    account = till.account("a", "1")

    with pytest.raises(CryptoAssetsError):
        page(till, account, **bad)
