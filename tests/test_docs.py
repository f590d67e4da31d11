"""What operators read is complete: every configuration key, command, error, metric and log key is written down."""

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import typer.main

from gateway import config, errors
from gateway.adapter import load_adapters
from gateway.adjusting import OF_GRAPHS
from gateway.cli.main import app
from gateway.format import GraphFormat
from gateway.model import ActorKind
from gateway.wanted import configured
from gateway.web import metrics
from gateway.web.record import Record, encode_lines

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "config.example.yaml"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────
SECTIONS = [
    config.Config,
    config.ServerConfig,
    config.CacheConfig,
    config.AuthConfig,
    config.LogConfig,
    config.UpstreamConfig,
    config.RepositoryConfig,
]


def test_the_example_shows_every_default():
    example = config.load(EXAMPLE, {})
    default = config.Config()

    for name in ("data", "server", "cache", "auth", "log"):
        assert getattr(example, name) == getattr(default, name)
    assert example.upstreams["pypi"] == config.UpstreamConfig(preset="pypi")
    assert example.repositories["pypi"]["acme/private"] == config.RepositoryConfig()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_in_the_example(section):
    text = EXAMPLE.read_text(encoding="utf-8")

    for field in fields(section):
        assert re.search(rf"^ *{field.name}:", text, re.MULTILINE), field.name


@pytest.mark.parametrize("adapter", load_adapters(), ids=lambda adapter: adapter.type)
def test_every_setting_of_a_type_is_in_the_example(adapter):
    example = config.load(EXAMPLE, {})
    shown = {key for entry in example.repositories[adapter.type].values() for key in entry.settings}

    assert set(getattr(adapter.format, "settings", {})) <= shown
    if isinstance(adapter.format, GraphFormat):
        assert {*OF_GRAPHS, "retention"} <= shown


def test_the_example_can_be_served():
    configured(config.load(EXAMPLE, {}), {adapter.type: adapter.format for adapter in load_adapters()})


def test_every_section_of_the_configuration_is_checked_here():
    found = {kind for name, kind in vars(config).items() if is_dataclass(kind) and name.endswith("Config")}

    assert found == set(SECTIONS)


def test_every_key_of_the_example_stands_below_a_comment():
    lines = EXAMPLE.read_text(encoding="utf-8").partition("# A usual one")[0].splitlines()

    for number, line in enumerate(lines):
        if re.match(r" *[a-z_]+: *\S", line):
            assert any("#" in above for above in lines[max(0, number - 3) : number]), line


# ── command line ─────────────────────────────────────────────────────────────────────────────────────────────────
def commands(command, path=("entrepot",)):
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", list(COMMANDS))
def test_every_command_and_option_is_documented(words):
    entry = re.search(
        rf"^`{words}(?: [^`]*)?`  \n(.*?)(?=^`entrepot|^##|\Z)", read("docs/cli.md"), re.MULTILINE | re.DOTALL
    )
    assert entry, words

    for parameter in COMMANDS[words].params:
        if parameter.param_type_name == "option" and parameter.name not in {"help", "config_file", "data_folder"}:
            assert f"`{parameter.opts[0]}" in entry[1], parameter.opts
    assert COMMANDS[words].help.strip() in entry[1]


def test_no_command_is_documented_that_is_not_there():
    documented = re.findall(r"^`(entrepot [^`]*)`  $", read("docs/cli.md"), re.MULTILINE)

    assert {re.sub(r" (?=[\[A-Z]).*", "", usage) for usage in documented} == set(COMMANDS)


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────
def all_errors(kind=errors.GatewayError):
    yield kind
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from all_errors(inner)


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_is_documented_with_its_status(kind):
    assert f"| `{kind.code}` | {kind.status} |" in read("docs/errors.md")
    if kind is not errors.GatewayError:
        assert re.search(rf"{kind.__name__} +{kind.status} {kind.code}\b", errors.__doc__)


def test_no_error_is_documented_that_is_not_there():
    documented = re.findall(r"^\| `(\w+)` \|", read("docs/errors.md"), re.MULTILINE)

    assert sorted(documented) == sorted(kind.code for kind in all_errors())


# ── metrics and log ──────────────────────────────────────────────────────────────────────────────────────────────
def test_every_metric_is_documented_with_its_labels():
    text = read("docs/metrics.md")
    wanted = {f"{name}_total": labels for name, (_, labels) in metrics.COUNTERS.items()}
    wanted |= {name: labels for name, (_, labels) in metrics.GAUGES.items()} | {metrics.HISTOGRAM: ("type",)}

    for name, labels in wanted.items():
        shown = ", ".join(f"`{label}`" for label in labels)
        assert f"| `{name}` | {shown}{' ' if shown else ''}|" in text, name
    assert set(re.findall(r"^\| `(entrepot_\w+)`", text, re.MULTILINE)) == set(wanted)


def test_every_key_of_the_access_log_is_documented():
    record = Record(0.0, "", "GET", "/", 200, str(ActorKind.ANONYMOUS), "", "", "", "", "", 0, 0.0, "", "")
    text = read("docs/metrics.md").partition("## Access log")[2]

    for key in json.loads(encode_lines([record])):
        assert f"`{key}`" in text
