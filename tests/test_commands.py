"""The commands as a person meets them: they teach, they do their work, and they name a plugin that is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import ask, run, simnet_config, write
from planted import plant

from cryptoassets_btc import BITCOIN
from cryptoassets_simnet import Simnet


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cryptoassets", ["run", "init-db", "scan", "audit", "simnet", "CONFIG is the application's YAML"]),
        ("cryptoassets run", ["CONFIG", "SIGTERM", "Exit code 0"]),
        ("cryptoassets init-db", ["CONFIG", "tables"]),
        ("cryptoassets scan", ["CONFIG", "deposits", "Safe at any time"]),
        ("cryptoassets-helper-service", ["CONFIG", "daemon"]),
        ("cryptoassets-initialize-database", ["CONFIG", "tables"]),
        ("cryptoassets-scan-received", ["CONFIG", "deposits"]),
    ],
)
def test_help_teaches(command: str, words: list[str], option: str) -> None:
    result = run(command, option)
    assert result.returncode == 0
    assert result.stderr == ""
    for word in words:
        assert word in result.stdout


@pytest.mark.parametrize("command", ["cryptoassets run", "cryptoassets-helper-service"])
def test_command_without_a_file_shows_its_usage(command: str) -> None:
    result = run(command)
    assert result.returncode == 2
    assert "Usage: " in result.stderr
    assert "Missing argument 'CONFIG'" in result.stderr


@pytest.mark.parametrize("command", ["cryptoassets init-db", "cryptoassets-initialize-database"])
def test_tables_are_made_and_making_them_again_changes_nothing(command: str, tmp_path: Path) -> None:
    config = write(tmp_path, simnet_config(tmp_path))
    for _ in range(2):
        result = run(command, config)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("The tables of btc are ready in sqlite:///")


@pytest.mark.parametrize("command", ["cryptoassets scan", "cryptoassets-scan-received"])
def test_scan_tells_what_it_did(command: str, tmp_path: Path) -> None:
    config = write(tmp_path, simnet_config(tmp_path))
    ask("cryptoassets init-db", config)
    result = run(command, config)
    assert result.returncode == 0
    assert result.stdout == "Rescanned btc: 0 updates.\n"


def test_scan_while_the_node_is_down(tmp_path: Path) -> None:
    config = write(tmp_path, simnet_config(tmp_path))
    ask("cryptoassets init-db", config)
    with Simnet(tmp_path / "chain.simnet", BITCOIN) as simnet:
        simnet.set_down(True)
    result = run("cryptoassets scan", config)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("Error: the simulated node")
    assert "Traceback" not in result.stderr


def test_audit_of_new_books(tmp_path: Path) -> None:
    config = write(tmp_path, simnet_config(tmp_path))
    ask("cryptoassets init-db", config)
    assert run("cryptoassets audit", config).stdout == "All is well in the books of btc.\n"
    assert run("cryptoassets audit", "--json", config).stdout == ""


def test_environment_is_read_into_the_configuration(tmp_path: Path) -> None:
    config = simnet_config(tmp_path)
    config["database"]["url"] = "sqlite:///${SHOP_HOME}/shop.sqlite"
    result = run("cryptoassets init-db", write(tmp_path, config), SHOP_HOME=str(tmp_path))
    assert result.returncode == 0
    assert (tmp_path / "shop.sqlite").exists()


def test_password_of_the_database_is_not_shown_on_success(tmp_path: Path) -> None:
    config = simnet_config(tmp_path)
    config["database"]["url"] += "?cached_statements=100"
    result = run("cryptoassets init-db", write(tmp_path, config))
    assert result.returncode == 0
    assert "cached_statements" not in result.stdout


def test_broken_plugin_that_nobody_uses_is_told_and_does_no_harm(tmp_path: Path) -> None:
    installed = plant(tmp_path / "installed", "smoke", "import no_such_library")
    result = run("cryptoassets init-db", write(tmp_path, simnet_config(tmp_path)), PYTHONPATH=str(installed))
    assert result.returncode == 0
    assert result.stderr.count("'smoke' of shop-smoke 1.2.3") == 1
    assert "Traceback" not in result.stderr
    help_text = " ".join(run("cryptoassets", "--help", PYTHONPATH=str(installed)).stdout.split())
    assert "Broken: the plugin 'smoke' of shop-smoke 1.2.3" in help_text


def test_broken_plugin_that_is_needed(tmp_path: Path) -> None:
    installed = plant(tmp_path / "installed", "smoke", "import no_such_library")
    config = write(tmp_path, simnet_config(tmp_path, events={"shop": {"name": "smoke"}}))
    result = run("cryptoassets run", config, PYTHONPATH=str(installed))
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert error.startswith("Error: events.shop: the plugin 'smoke' of shop-smoke 1.2.3 cannot be used")
    assert "no_such_library" in error
    assert "Traceback" not in result.stderr


def test_plugin_that_fails_at_the_start_of_a_command_is_named(tmp_path: Path) -> None:
    code = """
        from cryptoassets_core.hookspecs import hookimpl

        @hookimpl
        def cryptoassets_cli_commands(group):
            raise ValueError("too many commands")
    """
    installed = plant(tmp_path / "installed", "smoke", code)
    result = run("cryptoassets", "--help", PYTHONPATH=str(installed))
    # It breaks only what uses it: its own commands.
    assert result.returncode == 0
    assert "Broken: the plugin 'smoke' of shop-smoke 1.2.3" in result.stdout
    assert "too many commands" in result.stdout


def test_plugin_adds_a_command(tmp_path: Path) -> None:
    code = """
        import json

        import click

        from cryptoassets_core.hookspecs import hookimpl

        @hookimpl
        def cryptoassets_cli_commands(group):
            @group.command("smoke")
            def smoke():
                click.echo(json.dumps("puff"))
    """
    installed = plant(tmp_path / "installed", "smoke", code)
    assert json.loads(run("cryptoassets smoke", PYTHONPATH=str(installed)).stdout) == "puff"


@pytest.mark.parametrize("arguments", ["", "config.yaml --json", "--help"])
def test_command_that_replaces_one_of_the_kernel_stops_and_names_both(tmp_path: Path, arguments: str) -> None:
    """Or a plugin's idea of an audit would be taken for the kernel's."""
    installed = plant(tmp_path / "installed", "smoke", _COMMANDS)
    result = run(f"cryptoassets audit {arguments}", PYTHONPATH=str(installed))
    assert (result.returncode, result.stdout) == (1, "")
    sentence = "both cryptoassets-core and the plugin 'smoke' of shop-smoke 1.2.3 bring the command 'audit'"
    assert result.stderr == f"Error: {sentence}; uninstall or disable one of them\n"


def test_command_that_is_contested_leaves_the_others_alone(tmp_path: Path) -> None:
    installed = plant(tmp_path / "installed", "smoke", _COMMANDS)
    plant(installed, "soot", _COMMANDS)
    assert run("cryptoassets plugins", PYTHONPATH=str(installed)).returncode == 0
    assert (
        "'smoke' of shop-smoke 1.2.3 and the plugin 'soot'"
        in run("cryptoassets puff", PYTHONPATH=str(installed)).stderr
    )
    help_text = " ".join(run("cryptoassets --help", PYTHONPATH=str(installed)).stdout.split())
    assert help_text.count("bring the command 'audit'; uninstall or disable one of them.") == 1


_COMMANDS = """
    import click

    from cryptoassets_core.hookspecs import hookimpl

    @hookimpl
    def cryptoassets_cli_commands(group):
        for name in ("audit", "puff"):
            @group.command(name)
            def puff():
                click.echo("all is well")
"""
