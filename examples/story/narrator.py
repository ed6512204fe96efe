"""Tells a story on the terminal, or keeps silent where a test plays it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from decimal import Decimal
from typing import Final

from application import Update
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

#: Takes an event that told of confirmations.
Tell = Callable[[Update], None]

#: Wide enough for commands and addresses, where there is no terminal to measure.
_WIDTH_WITHOUT_TERMINAL: Final = 120


class Narrator:
    """What there is to tell. This one keeps silent."""

    def scene(self, title: str) -> None:
        """Begin a part of the story."""

    def say(self, sentence: str) -> None:
        """Tell what happens."""

    def command(self, line: str) -> None:
        """Show a command."""

    def update(self, update: Update) -> None:
        """Show an event."""

    def success(self, sentence: str) -> None:
        """Tell what was reached."""

    def balances(
        self, balances: Mapping[str, Decimal], symbol: str, *, totals: Mapping[str, Decimal] | None = None
    ) -> None:
        """Show what each account has, and what is compared to that."""

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Show that something takes a moment."""
        return nullcontext()

    def confirming(self, wanted: int) -> AbstractContextManager[Tell]:
        """Show how confirmations come in, one event at a time."""
        return nullcontext(self.update)


class TerminalNarrator(Narrator):
    """Tells the story to a person.

    :ivar console: where to.
    """

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = _WIDTH_WITHOUT_TERMINAL
        self._scenes = 0

    def title(self, title: str, sentence: str) -> None:
        """Say what the story is about."""
        self.console.print(Panel(Text(sentence), title=f"[bold]{title}[/]", title_align="left", padding=(0, 1)))

    def scene(self, title: str) -> None:
        self._scenes += 1
        self.console.print(f"\n[bold cyan]{self._scenes}. {title}[/]")

    def say(self, sentence: str) -> None:
        self._print(Text(sentence))

    def command(self, line: str) -> None:
        # On one line, however long, so that it can be copied.
        self.console.print(Text(f"   $ {line}", style="bold"), soft_wrap=True)

    def update(self, update: Update) -> None:
        self._print(_event(update))

    def success(self, sentence: str) -> None:
        self._print(Text(f"✔ {sentence}", style="green"))

    def fact(self, name: str, value: str) -> None:
        """Tell one thing of several."""
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_row(Text(f"{name:<8}", style="dim"), Text(value))
        self.console.print(Padding(row, (0, 0, 0, 5), expand=False))

    def failure(self, sentence: str) -> None:
        """Tell what went wrong."""
        self._print(Text(f"✘ {sentence}", style="bold red"))

    def balances(
        self, balances: Mapping[str, Decimal], symbol: str, *, totals: Mapping[str, Decimal] | None = None
    ) -> None:
        table = Table("Account", box=box.SIMPLE, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        table.add_column(f"Balance, {symbol}", justify="right")
        for name, balance in sorted(balances.items()):
            table.add_row(Text(name), f"{balance:f}")
        table.add_section()
        for name, balance in (totals or {}).items():
            table.add_row(Text(name), f"{balance:f}", style="bold")
        self.console.print(Padding(table, (0, 0, 0, 4), expand=False))

    def waiting(self, what: str) -> AbstractContextManager[object]:
        return self.console.status(f"{what} …")

    @contextmanager
    def confirming(self, wanted: int) -> Iterator[Tell]:
        columns = (TextColumn("     waiting for block"), TextColumn("{task.completed} of {task.total}"), BarColumn())
        quiet = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=quiet) as progress:
            task = progress.add_task("", total=wanted)

            def tell(update: Update) -> None:
                self.update(update)
                progress.update(task, completed=update.confirmations)

            yield tell

    def _print(self, text: Text) -> None:
        self.console.print(Padding(text, (0, 0, 0, 3), expand=False))


def _event(update: Update) -> Text:
    where = {0: "in the mempool", 1: "1 confirmation"}.get(
        update.confirmations, f"{update.confirmations} confirmations"
    )
    deposit = update.transaction_type == "deposit"
    what = "deposit" if deposit else "withdrawal"
    text = Text.assemble("  ", ("txupdate", "magenta"), f"  {what} of {update.amount:f}  {where:<17}")
    if deposit:
        credit, style = ("credited", "green") if update.credited else ("not credited yet", "yellow")
        text.append(credit, style=style)
    text.rstrip()
    return text
