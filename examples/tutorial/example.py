"""A wallet on the command line: make addresses, receive, send, and hear what happens meanwhile.

    python example.py [CONFIGURATION]

The configuration alone decides which coin it is and which network carries it. README.md has the steps.
"""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sqlalchemy import or_
from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import CryptoAssetsError, NotEnoughAccountBalance
from cryptoassets_core.ledger.states import TransactionKind
from cryptoassets_core.models import GenericAccount, GenericTransaction, GenericWallet
from cryptoassets_core.utils.httpeventlistener import simple_http_event_listener

MENU = """
1) Create a receiving address
2) Send coins
3) Show the status
4) Quit"""

config_file = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).with_name("example.config.yaml"))
app = CryptoAssetsApp()
configurator = Configurator(app)
try:
    configurator.load_yaml_file(config_file)
    app.check_tables()
    app.setup_session()
except CryptoAssetsError as error:
    sys.exit(f"Error: {error}")

# The tutorial's configurations have one coin each; an application may have many.
coin = app.coins.all()[0][1]
UNIT = coin.name.upper()


def handle_event(event_name: str, data: dict[str, Any]) -> None:
    """Print what the helper daemon tells us. It runs in a thread of its own, and now and then twice for one event."""
    if event_name != "txupdate":
        return
    credited = ", credited" if data["transaction_type"] == "deposit" and data["credited"] else ""
    print(
        f"\n* {data['transaction_type']} of {data['amount']} {data['coin_name'].upper()}, address {data['address']}, "
        f"confirmations: {data['confirmations']}{credited}, txid {data['txid']}",
        flush=True,
    )


# Everything that touches the database is a function that takes a session and is decorated like these. It runs in one
# transaction, and again from its beginning when others were changing the same rows: so it prints nothing, it returns
# what there is to print.


@app.conflict_resolver.managed_transaction
def create_receiving_address(session: Session) -> str:
    """Have the backend make an address, and return it."""
    wallet, account = get_wallet_and_account(session)
    return wallet.create_receiving_address(account, automatic_label=True).address


@app.conflict_resolver.managed_transaction
def send_to(session: Session, address: str, amount: Decimal) -> str:
    """Take the amount from our account and queue it for the network; the helper daemon sends it."""
    wallet, account = get_wallet_and_account(session)
    transaction = wallet.send(account, address, amount, "sent from the tutorial")
    return f"Transaction {transaction.id} is {transaction.state}."


@app.conflict_resolver.managed_transaction
def describe_status(session: Session) -> str:
    """Return our balance, our addresses and our transactions, as text."""
    wallet, account = get_wallet_and_account(session)
    if not account.addresses:
        wallet.create_receiving_address(account, automatic_label=True)
    lines = [
        f"Account {account.id}: {coins(account.balance)} to spend, {coins(account.get_unconfirmed_balance())} on their "
        f"way in (credited at {coin.confirmation_count} confirmations)",
        "",
        "Receiving addresses:",
    ]
    lines += [f"- {each.address} received {coins(each.balance)}" for each in account.addresses]
    lines += ["", "Transactions:"]
    model = coin.transaction_model
    ours = or_(model.sending_account_id == account.id, model.receiving_account_id == account.id)
    lines += [describe(each, account) for each in session.query(model).filter(ours).order_by(model.id)]
    return "\n".join(lines)


def get_wallet_and_account(session: Session) -> tuple[GenericWallet, GenericAccount]:
    """Return our wallet and our account in it; the first time they are made."""
    wallet = coin.wallet_model.get_or_create_by_name("tutorial", session)
    return wallet, wallet.get_or_create_account_by_name("my account")


def describe(transaction: GenericTransaction, account: GenericAccount) -> str:
    """Return one line about a transaction."""
    direction = "OUT" if transaction.sending_account_id == account.id else "IN"
    credited = " and credited" if transaction.kind == TransactionKind.DEPOSIT and transaction.credited_at else ""
    line = f"- {direction} {transaction.kind} {coins(transaction.amount)}, {transaction.state}{credited}"
    if transaction.address is not None:
        line += f", address {transaction.address.address}"
    if transaction.confirmations is not None:
        line += f", confirmations: {transaction.confirmations}, txid {transaction.txid}"
    return line


def coins(amount: Decimal) -> str:
    """Write an amount with all the decimals that the coin has; it has no more, so nothing is rounded."""
    return f"{amount:.{coin.description.decimals}f} {UNIT}"


def send() -> None:
    """Ask for address and amount, and send."""
    address = input("Address to send to: ").strip()
    text = input(f"How many {UNIT}, for example 0.25: ").strip()
    try:
        amount = Decimal(text)
    except InvalidOperation:
        print(f"{text!r} is not a number. Write it with a point, for example 0.25.")
        return
    try:
        print(send_to(address, amount))
    except NotEnoughAccountBalance as error:
        print(f"Your account holds {coins(error.available)}, which is too little to send {coins(error.needed)}.")
    except CryptoAssetsError as error:
        # An amount that cannot be, an address of another network, our own address: each says what is wrong.
        print(f"Nothing was sent: {error}.")


def create_address() -> None:
    """Make an address and show it."""
    try:
        print(f"New address: {create_receiving_address()}")
    except CryptoAssetsError as error:
        print(f"No address was made: {error}.")


def show_status() -> None:
    """Print the status."""
    try:
        print(describe_status())
    except CryptoAssetsError as error:
        print(f"The status cannot be shown: {error}.")


def main() -> None:
    """Do what is asked for until it is enough."""
    commands = {"1": create_address, "2": send, "3": show_status}
    print(f"Welcome to the tutorial's {coin.description.title} wallet (network: {coin.network}).")
    show_status()
    while True:
        print(MENU)
        try:
            choice = input("Your choice [1-4]: ").strip()
            print()
            if choice == "4":
                return
            command = commands.get(choice)
            if command is None:
                print(f"There is no command {choice!r}.")
            else:
                command()
        except (EOFError, KeyboardInterrupt):
            print()
            return


if __name__ == "__main__":
    try:
        # From here on a small HTTP server takes the events, at the URL that the configuration gives.
        simple_http_event_listener(configurator.config)(handle_event)
        main()
    except CryptoAssetsError as error:
        sys.exit(f"Error: {error}")
    finally:
        app.close()
