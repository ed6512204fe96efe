"""``cryptoassets status``: asks the daemon how it is, and the books where there is none."""

from __future__ import annotations

import base64
import ipaddress
import sys
from collections.abc import Mapping
from typing import Any, Final

import click
import requests

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import CONFIG_FILE, open_app
from cryptoassets_core.cli.output import json_line, print_facts, print_rows
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.service.status.figures import Figures
from cryptoassets_core.service.status.report import in_books
from cryptoassets_core.settings import StatusServerSettings

#: How long the daemon may take to answer.
TIMEOUT_SECONDS: Final = 10

#: What a table shows of each coin.
_COLUMNS: Final = (
    "name",
    "network",
    "problem",
    "balance",
    "hot_wallet",
    "queued",
    "incoming",
    "unsettled",
    "interrupted",
    "conflicted",
    "last_success_at",
    "synced_at",
    "leader",
)


@click.command("status", epilog="Example: cryptoassets status shop.yaml --json | jq .coins[0].queued")
@CONFIG_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object; amounts are text.")
def status(config_file: str, as_json: bool) -> None:
    """Ask the running daemon how it is; where there is none, say so and tell what the books know.

    Exit code 0 if all is well, 1 if not or if no daemon answers.
    """
    with one_sentence():
        sys.exit(_status(config_file, as_json=as_json))


def _status(config_file: str, *, as_json: bool) -> int:
    app = open_app(config_file)
    told, why_not = _ask(app.status_server)
    if told is None:
        told = {"healthy": False, "problems": [why_not], "coins": _from_books(app), "daemon": False}
    else:
        told = {"daemon": True, **told}
    if as_json:
        click.echo(json_line(told))
    else:
        _show(told)
    return 0 if told["healthy"] else 1


def address(settings: StatusServerSettings) -> str:
    """Return where the status server of a daemon on this machine is reached."""
    try:
        ip = ipaddress.ip_address(settings.ip)
    except ValueError:
        return f"http://{settings.ip}:{settings.port}"
    # A daemon that listens everywhere listens here too.
    here = ip if not ip.is_unspecified else ipaddress.ip_address("127.0.0.1" if ip.version == 4 else "::1")
    return f"http://[{here}]:{settings.port}" if here.version == 6 else f"http://{here}:{settings.port}"


def _ask(settings: StatusServerSettings | None) -> tuple[dict[str, Any] | None, str]:
    if settings is None:
        return None, "no daemon can be asked: the configuration has no section status_server"
    where = address(settings)
    try:
        answer = _get(f"{where}/api/status", settings)
    except requests.RequestException:
        return None, f"no daemon answers at {where}: start it with cryptoassets run, or see the last lines of its log"
    if answer.status_code == requests.codes.unauthorized:
        raise ConfigurationError(f"status_server: the daemon at {where} takes another user and password, or token")
    told = _told(answer)
    if told is None:
        return None, f"what answers at {where} is no daemon of ours: see which program listens there"
    return told, ""


def _get(url: str, settings: StatusServerSettings) -> requests.Response:
    with requests.Session() as session:
        # No proxy of the environment stands between us and a daemon of our own, and no .netrc has its password.
        session.trust_env = False
        if settings.token is not None:
            session.headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        elif settings.user is not None and settings.password is not None:
            given = f"{settings.user}:{settings.password.get_secret_value()}".encode()
            session.headers["Authorization"] = f"Basic {base64.b64encode(given).decode()}"
        return session.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)


def _told(answer: requests.Response) -> dict[str, Any] | None:
    """Return the report that a daemon answered, None if it is none."""
    try:
        told = answer.json() if answer.status_code == requests.codes.ok else None
    except requests.JSONDecodeError:
        return None
    return told if isinstance(told, dict) and {"healthy", "coins"} <= told.keys() else None


def _from_books(app: CryptoAssetsApp) -> list[dict[str, Any]]:
    """Return what the database knows by itself."""
    figures = Figures(app)
    with app.open_readonly_session(wait=False) as session:
        return [
            {"name": name, "network": coin.network, **in_books(session, coin, figures)}
            for name, coin in app.coins.all()
        ]


def _show(told: Mapping[str, Any]) -> None:
    click.echo("All is well." if told["healthy"] else "Needs attention.")
    for problem in told.get("problems", ()):
        click.echo(f"- {problem}")
    for coin in told["coins"]:
        print_facts({name: coin[name] for name in _COLUMNS if name in coin})
    if told.get("sinks"):
        print_rows("Event sinks", told["sinks"], right=["pending", "dead"])
    components = told.get("components", {})
    if components:
        dead = [name for name, alive in components.items() if not alive]
        click.echo(f"Not running: {', '.join(dead)}." if dead else f"Running: {', '.join(components)}.")
