"""The documentation against the code: nothing is left out, nothing is out of date, and what it shows runs."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
import pytest
from documents import BLOCK, DOCS, PAGES, ROOT, blocks, read, rows, sections
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_btc import BITCOIN
from cryptoassets_core import hookspecs, settings
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.cli import errors as cli_errors
from cryptoassets_core.cli.later import Later
from cryptoassets_core.cli.main import cryptoassets
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import WithdrawalRefused
from cryptoassets_core.event import events, outbox
from cryptoassets_core.ledger.states import TransactionState
from cryptoassets_core.loading import load_class
from cryptoassets_core.plugins import Plugins
from cryptoassets_core.service import main as service
from cryptoassets_simnet import Simnet

# --- docs/configuration.md ----------------------------------------------------------------------------------


def described(model: type[BaseModel]) -> dict[str, tuple[str, str]]:
    return {name: (type_of(field), default_of(field)) for name, field in model.model_fields.items()}


def type_of(field: FieldInfo) -> str:
    words = {
        bool: "true or false",
        int: "whole number",
        float: "number",
        Decimal: "exact number",
        str: "text",
        SecretStr: "text, secret",
        Path: "path",
        dict: "section",
        list: "list",
    }
    annotation = field.annotation
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (kind for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    kind = get_origin(annotation) or annotation
    word = words.get(kind, "section") if isinstance(kind, type) else "section"
    limits = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    bounds = [
        f"{limits[name]} {getattr(rule, name):g}"
        for name in limits
        for rule in field.metadata
        if getattr(rule, name, None) is not None
    ]
    return " ".join([word, *bounds])


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or field.default is PydanticUndefined:
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`"


def bundled(hook: str) -> Iterator[Any]:
    """Return what the kernel and the plugins of this repository bring, and nobody else."""
    ours = {"cryptoassets_core", *(path.name for path in ROOT.glob("plugins/*/cryptoassets_*"))}
    for _, kind in Plugins().call_each(hook):
        if load_class(kind.options, BaseModel).__module__.partition(".")[0] in ours:
            yield kind


def documentable_options() -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {
        "database": settings.DatabaseSettings,
        "coins": settings.CoinSettings,
        "status_server": settings.StatusServerSettings,
        "service": settings.ServiceSettings,
        "plugins": settings.PluginsSettings,
    }
    for hook, what in (
        ("cryptoassets_backends", "Backend"),
        ("cryptoassets_walletnotify_handlers", "Walletnotify"),
        ("cryptoassets_event_sinks", "Event sink"),
    ):
        found |= {f"{what} {kind.name}": load_class(kind.options, BaseModel) for kind in bundled(hook)}
    return found


@pytest.mark.parametrize("heading", documentable_options())
def test_every_option_is_documented_with_its_type_and_default(heading: str) -> None:
    section = sections(read(DOCS / "configuration.md")).get(heading)
    assert section is not None, f"docs/configuration.md has no section {heading!r}"

    documented = {name: (kind, default) for name, kind, default, _ in rows(section)}

    assert documented == described(documentable_options()[heading])


def test_every_section_of_the_configuration_is_documented() -> None:
    assert set(settings.Settings.model_fields) <= set(sections(read(DOCS / "configuration.md")))


def test_every_older_name_is_documented() -> None:
    page = read(DOCS / "configuration.md")
    hooks = ("cryptoassets_backends", "cryptoassets_walletnotify_handlers", "cryptoassets_event_sinks")

    assert [name for hook in hooks for kind in bundled(hook) for name in kind.legacy_names if name not in page] == []


def test_the_configurations_shown_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BTC_RPC_PASSWORD", "secret")
    monkeypatch.setenv("DB_PASSWORD", "secret")
    texts = blocks(read(DOCS / "configuration.md"), "yaml") + blocks(read(DOCS / "operation.md"), "yaml")
    assert texts

    for text in texts:
        app = CryptoAssetsApp()
        Configurator(app).load_from_dict(yaml_mapping(text))
        app.close()


def yaml_mapping(text: str) -> dict[str, Any]:
    """Read an example; where it leaves the database out, any will do."""
    import yaml

    return {"database": {"url": "sqlite://"}, **yaml.safe_load(text)}


# --- docs/hooks.md ------------------------------------------------------------------------------------------


def specified_hooks() -> dict[str, str]:
    """Return each hook's name and its signature, as it stands in the source."""
    found = {}
    for node in ast.parse(inspect.getsource(hookspecs)).body:
        if isinstance(node, ast.FunctionDef):
            returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
            found[node.name] = f"def {node.name}({ast.unparse(node.args)}){returns}"
    return found


def documented_hooks() -> dict[str, str]:
    found = {}
    for code in blocks(read(DOCS / "hooks.md"), "python"):
        if code.startswith("def cryptoassets_"):
            signature = re.sub(r"\(\s+", "(", re.sub(r",?\s+\)", ")", re.sub(r"\s+", " ", code.strip())))
            found[signature.removeprefix("def ").partition("(")[0]] = signature
    return found


def test_every_hook_is_documented_with_its_signature() -> None:
    assert documented_hooks() == specified_hooks()


def test_the_plugin_shown_decides() -> None:
    (code,) = (code for code in blocks(read(DOCS / "hooks.md"), "python") if "@hookimpl" in code)
    plugin = ModuleType("shop_plugin")
    exec(code, plugin.__dict__)  # noqa: S102 - it is our own
    plugins = Plugins([plugin])
    facts = {"session": None, "wallet": None, "account": None, "address": ""}

    plugins.approve_withdrawal(**facts, amount=Decimal(10))
    with pytest.raises(WithdrawalRefused, match="only by hand"):
        plugins.approve_withdrawal(**facts, amount=Decimal(11))


def test_every_hook_has_its_section() -> None:
    assert set(specified_hooks()) <= set(sections(read(DOCS / "hooks.md")))


# --- docs/concepts.md ---------------------------------------------------------------------------------------


def test_every_event_is_documented() -> None:
    names = {
        name
        for name, function in inspect.getmembers(events, inspect.isfunction)
        if function.__annotations__.get("return") == "NewEvent" and not name.startswith("_")
    }

    assert names
    assert names <= set(sections(read(DOCS / "concepts.md")))


def test_every_field_of_a_txupdate_is_documented(tmp_path: Path) -> None:
    section = sections(read(DOCS / "concepts.md"))["txupdate"]

    assert {name for name, *_ in rows(section)} == set(txupdate_of_a_deposit(tmp_path))


def txupdate_of_a_deposit(folder: Path) -> dict[str, object]:
    app = CryptoAssetsApp()
    chain = str(folder / "chain")
    backend = {"name": "simnet", "path": chain}
    Configurator(app).load_from_dict(
        {
            "database": {"url": f"sqlite:///{folder / 'books'}"},
            "coins": {"btc": {"network": "regtest", "backend": backend}},
        }
    )
    app.create_tables()
    app.setup_session()
    coin = app.coins.get("btc")
    assert coin.backend is not None

    @app.conflict_resolver.managed_transaction
    def make_address(session: Session) -> str:
        wallet = coin.wallet_model.get_or_create_by_name("shop", session)
        account = wallet.get_or_create_account_by_name("customer")
        return wallet.create_receiving_address(account, automatic_label=True).address

    with Simnet(chain, BITCOIN) as network:
        network.pay(make_address(), Decimal(1))
        network.mine()
    TransactionUpdater(app.conflict_resolver, coin.backend, coin).poll()
    with app.open_readonly_session() as session:
        data: dict[str, object] = json.loads(session.scalars(select(outbox.event_table.c.data)).one())
    app.close()
    return data


def test_every_state_of_a_transaction_is_documented() -> None:
    page = read(DOCS / "concepts.md")

    assert [state for state in TransactionState if f"`{state}`" not in page] == []


# --- docs/operation.md --------------------------------------------------------------------------------------


def test_every_command_is_documented() -> None:
    page = read(DOCS / "operation.md")
    scripts = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["scripts"]
    subcommands = [f"cryptoassets {name}" for name in command_line().commands]

    assert [name for name in [*scripts, *subcommands] if f"`{name}" not in page] == []


def test_every_exit_code_is_documented() -> None:
    documented = {code for code, *_ in rows(sections(read(DOCS / "operation.md"))["Exit codes"])}

    assert {str(code) for code in (service.EXIT_CLEAN, cli_errors.EXIT_FAILURE, service.EXIT_UNCLEAN)} <= documented


def command_line() -> click.Group:
    group = click.Group(commands=dict(cryptoassets.commands))
    Plugins().manager.hook.cryptoassets_cli_commands(group=group)
    return group


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_shown_exists(page: Path) -> None:
    for block in blocks(read(page), "sh"):
        for line in block.splitlines():
            if re.match(r"(export \w+=\S+ && )?cryptoassets ", line):
                group: click.Command = command_line()
                for word in shlex.split(line, comments=True)[1:]:
                    if isinstance(group, click.Group) and not word.startswith("-"):
                        assert word in group.commands, line
                        found = group.commands[word]
                        group = found.load() if isinstance(found, Later) else found
            elif line.startswith("scripts/"):
                assert (ROOT / line.split()[0]).exists(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", read(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", read(file)), flags=re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{page.name} links to {target}"


def slug(heading: str) -> str:
    """Write a heading as its anchor is written on the forges."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
