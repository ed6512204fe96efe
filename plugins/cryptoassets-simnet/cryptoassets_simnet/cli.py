"""The command ``cryptoassets simnet``: be the outside world of a simulated network."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cryptoassets_core.backend.base import Txid, WalletTransaction
from cryptoassets_core.errors import CryptoAssetsError
from cryptoassets_simnet import faults
from cryptoassets_simnet.chain import MOST_BLOCKS, Reorganisation
from cryptoassets_simnet.simnet import Simnet, SimnetStatus

#: What a command tells: data for ``--json``, and what to print for a person.
Answer = tuple[dict[str, Any], Table | str]

_AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?")

#: Enough for a txid and what stands beside it, where there is no terminal to measure.
_WIDTH_WITHOUT_TERMINAL = 120


@click.group("simnet")
def simnet_group() -> None:
    """Play the outside world of a SIMULATED coin network.

    A simulated network lives in a file that the backend "simnet" makes when the application or the daemon first
    uses it. These commands pay into it, mine blocks, reorganise the chain and make the simulated node fail, while the
    daemon runs. No real coin ever moves.

    \b
    A first round, with an address that your application made:
      export CRYPTOASSETS_SIMNET=/path/of/the/chain/file
      cryptoassets simnet pay ADDRESS 1.5
      cryptoassets simnet mine 3
      cryptoassets simnet status
    """


def _command(name: str) -> Callable[[Callable[..., Answer]], click.Command]:
    """Make a command of a function that works on the chain file and returns its answer."""

    def make(function: Callable[..., Answer]) -> click.Command:
        @functools.wraps(function)
        def run(*, chain: Path, as_json: bool, **arguments: Any) -> None:
            try:
                with Simnet.open(chain) as simnet:
                    data, text = function(simnet, **arguments)
            except CryptoAssetsError as error:
                raise click.ClickException(str(error)) from error
            _show(data, text, as_json=as_json)

        with_json = click.option(
            "--json", "as_json", is_flag=True, help="Print JSON for programs; amounts are strings."
        )
        with_chain = click.option(
            "--chain",
            metavar="FILE",
            envvar="CRYPTOASSETS_SIMNET",
            show_envvar=True,
            required=True,
            type=click.Path(dir_okay=False, path_type=Path),
            help="File of the simulated chain: the option 'path' of the backend.",
        )
        return simnet_group.command(name)(with_chain(with_json(run)))

    return make


def _show(data: dict[str, Any], text: Table | str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(data, indent=2))
    elif isinstance(text, str):
        click.echo(text)
    else:
        width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
        Console(width=width).print(text)


class Amount(click.ParamType[Decimal]):
    """Whole coins, written plainly: nothing is rounded, no exponent, no sign."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read an amount from the command line."""
        if not isinstance(value, str) or _AMOUNT.fullmatch(value) is None:
            self.fail(f"{value!r} is not an amount in whole coins, such as 1.5", param, ctx)
        return Decimal(value)


@_command("pay")
@click.argument("outputs", metavar="ADDRESS AMOUNT [ADDRESS AMOUNT]...", nargs=-1, required=True)
def pay(simnet: Simnet, outputs: tuple[str, ...]) -> Answer:
    """Deposit coins from outside.

    ADDRESS is one that the application or the backend made, AMOUNT is in whole coins. Several pairs make one
    transaction with several outputs, also to one address. The deposit is unconfirmed until "mine".

    \b
    Example: cryptoassets simnet pay bcrt1q... 0.25
    """
    if len(outputs) % 2:
        raise click.UsageError(f"each address needs an amount after it, and {outputs[-1]} has none")
    amounts = [Amount().convert(text, None, None) for text in outputs[1::2]]
    txid = simnet.pay_many(list(zip(outputs[::2], amounts, strict=True)))
    total = f"{sum(amounts, Decimal(0)):f} {simnet.facts.coin.symbol.upper()}"
    return {"txid": txid}, f"Deposited {total} (simulated), unconfirmed: {txid}"


@_command("fund")
@click.argument("amount", type=Amount())
def fund(simnet: Simnet, amount: Decimal) -> Answer:
    """Top up the hot wallet with AMOUNT whole coins.

    They belong to no account; withdrawals and their fees are paid from them. One block is mined, so that they can
    be spent at once.
    """
    txid = simnet.fund(amount)
    return {
        "txid": txid
    }, f"Funded the hot wallet with {amount:f} {simnet.facts.coin.symbol.upper()} (simulated): {txid}"


@_command("mine")
@click.argument("blocks", type=click.IntRange(1, MOST_BLOCKS), default=1)
@click.option(
    "--reward", metavar="ADDRESS", help="Pay the reward of one block, mined first, to this address of the wallet."
)
def mine(simnet: Simnet, blocks: int, reward: str | None) -> Answer:
    """Mine BLOCKS blocks, 1 if not told.

    The first one takes every unconfirmed transaction, each further one adds a confirmation. With --reward, the first
    block is one whose coinbase pays 50 coins to ADDRESS; they can be spent when they are mature.
    """
    rewarded = None if reward is None else simnet.reward(reward)
    if rewarded is None:
        simnet.mine(blocks)
    elif blocks > 1:
        simnet.mine(blocks - 1)
    status = simnet.status()
    data = {"height": status.height, "tip": status.tip, "reward_txid": rewarded}
    return data, f"Mined {blocks} block(s); height {status.height}, tip {status.tip}"


@_command("reorg")
@click.argument("depth", type=int)
@click.option("--drop", metavar="TXID", multiple=True, help="Let the network forget this transaction; may be repeated.")
def reorg(simnet: Simnet, depth: int, drop: tuple[str, ...]) -> Answer:
    """Replace the last DEPTH blocks by a longer branch of empty ones.

    What was in the old blocks is unconfirmed again and gets into the next block mined, except what is dropped.
    """
    done = simnet.reorg(depth, drop=[Txid(txid) for txid in drop])
    return _reorganisation_data(done), _reorganisation_text(done)


@_command("double-spend")
@click.argument("txid")
def double_spend(simnet: Simnet, txid: str) -> Answer:
    """Replace the deposit TXID by a rival that pays somebody else.

    An unconfirmed deposit is replaced in the mempool and looks alive until the rival is mined, as with a real node:
    run "mine" next. A confirmed one is reorganised away in the same step, however deep it is.
    """
    done = simnet.double_spend(Txid(txid))
    found = done.reorganisation
    data = {"rival": done.rival, "reorganisation": None if found is None else _reorganisation_data(found)}
    what = "waits in the mempool" if found is None else f"is confirmed; {_reorganisation_text(found)}"
    return data, f"The rival {done.rival} {what}"


def _reorganisation_data(done: Reorganisation) -> dict[str, Any]:
    return {"stale": list(done.stale), "added": list(done.added), "unconfirmed": list(done.unconfirmed)}


def _reorganisation_text(done: Reorganisation) -> str:
    return (
        f"{len(done.stale)} block(s) replaced by {len(done.added)}, "
        f"{len(done.unconfirmed)} transaction(s) unconfirmed again"
    )


@_command("fault")
@click.argument("method", metavar="METHOD", required=False, type=click.Choice(faults.METHODS))
@click.argument("kind", metavar="KIND", required=False, type=click.Choice([kind.value for kind in faults.FaultKind]))
@click.option("--count", default=1, show_default=True, help="How many calls fail.")
@click.option("--clear", is_flag=True, help="Disarm all faults.")
@click.option("--down/--up", default=None, help="Switch the simulated node off, until it is switched on again.")
def fault(simnet: Simnet, method: str | None, kind: str | None, count: int, clear: bool, down: bool | None) -> Answer:
    """Make the simulated node fail.

    The next calls of METHOD, a method of the backend such as submit or list_since, fail as KIND says: "refuse" does
    nothing and says so, "timeout-before" does nothing and loses the answer, "timeout-after" does it and loses the
    answer.

    \b
    Examples:
      cryptoassets simnet fault submit timeout-after
      cryptoassets simnet fault list_since refuse --count 5
      cryptoassets simnet fault --down
    """
    if (method is None) != (kind is None):
        raise click.UsageError("METHOD and KIND belong together, such as: submit timeout-after")
    if method is None and not clear and down is None:
        raise click.UsageError("say what shall fail (METHOD KIND), or --clear, --down or --up")
    if clear:
        simnet.clear_faults()
    if method is not None and kind is not None:
        simnet.fault(method, kind, count=count)
    if down is not None:
        simnet.set_down(down)
    status = simnet.status()
    return {"down": status.down, "faults": _faults_data(status)}, _faults_text(status)


def _faults_data(status: SimnetStatus) -> list[dict[str, Any]]:
    return [{"method": each.method, "kind": each.kind.value, "remaining": each.remaining} for each in status.faults]


def _faults_text(status: SimnetStatus) -> str:
    node = "down" if status.down else "up"
    waiting = ", ".join(f"{each.method} {each.kind} ({each.remaining}x)" for each in status.faults)
    return f"The simulated node is {node}; faults armed: {waiting or 'none'}"


@_command("status")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(0), help="Newest transactions to show.")
def status(simnet: Simnet, limit: int) -> Answer:
    """Show the chain, the wallet and its newest transactions."""
    now = simnet.status()
    newest = simnet.transactions(limit)
    data = {
        "simulation": True,
        "coin": now.symbol,
        "network": now.network,
        "height": now.height,
        "tip": now.tip,
        "mempool": now.mempool,
        "balance": f"{now.balance:f}",
        "confirmed_balance": f"{now.confirmed_balance:f}",
        "down": now.down,
        "faults": _faults_data(now),
        "transactions": [_transaction_data(each) for each in newest],
    }
    return data, _status_table(now, newest)


def _transaction_data(transaction: WalletTransaction) -> dict[str, Any]:
    return {
        "txid": transaction.txid,
        "confirmations": transaction.confirmations,
        "block_hash": transaction.block_hash,
        "coinbase": transaction.coinbase,
        "fee": None if transaction.fee is None else f"{transaction.fee:f}",
        "received": [
            {"address": output.address, "amount": f"{output.amount:f}", "vout": output.vout}
            for output in transaction.received
        ],
    }


def _status_table(now: SimnetStatus, newest: list[WalletTransaction]) -> Table:
    title = (
        f"SIMULATION of {now.symbol.upper()} {now.network}: height {now.height}, {now.mempool} in the mempool, "
        f"wallet {now.balance:f} ({now.confirmed_balance:f} confirmed)\n{_faults_text(now)}"
    )
    table = Table("Confirmations", "Received", "Network transaction", title=title, title_justify="left")
    for each in newest:
        received = f"{sum((output.amount for output in each.received), Decimal(0)):f}"
        # Folded rather than cut: a txid is there to be copied.
        table.add_row(str(each.confirmations), received if each.fee is None else "sent", each.txid)
    table.columns[2].overflow = "fold"
    return table
