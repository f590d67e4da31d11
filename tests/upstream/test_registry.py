"""Upstreams from the configuration."""

import pytest

from gateway.config import Config, UpstreamConfig
from gateway.errors import ConfigInvalid
from gateway.upstream.presets import PRESETS
from gateway.upstream.registry import Upstream, build_upstreams


def built(name: str = "mine", **keys: object) -> Upstream:
    return build_upstreams(Config(upstreams={name: UpstreamConfig(**keys)}))[name]  # type: ignore[arg-type]  # a table's values


def test_every_preset_is_ready_without_configuration() -> None:
    upstreams = build_upstreams(Config())

    assert set(upstreams) == set(PRESETS)
    assert all(upstream.url.endswith("/") and len(upstream.hosts) >= 1 for upstream in upstreams.values())
    assert upstreams["pypi"].hosts > set(PRESETS["pypi"].hosts)


def test_a_service_index_stands_for_its_folder() -> None:
    assert built(type="nuget", url="https://a.test/v3/index.json").url == "https://a.test/v3/"


def test_a_base_address_gets_its_slash_and_its_own_host() -> None:
    upstream = built(type="pypi", url="http://Mirror.test:8080/simple", hosts=("Files.test",))

    assert upstream.url == "http://Mirror.test:8080/simple/"
    assert upstream.hosts == {"mirror.test:8080", "files.test"}


def test_an_entry_with_a_presets_name_changes_only_what_it_says() -> None:
    upstream = built("pypi", max_age=1.0)

    assert upstream.url == PRESETS["pypi"].url
    assert set(PRESETS["pypi"].hosts) < upstream.hosts
    assert upstream.config.max_age == 1.0


def test_a_mirror_in_a_presets_place_does_not_lead_to_the_public_file_hosts() -> None:
    upstream = built("pypi", url="https://mirror.test/simple/")

    assert upstream.type == "pypi"
    assert upstream.hosts == {"mirror.test"}


def test_a_named_preset_fills_in_what_is_left_empty() -> None:
    upstream = built("company", preset="pypi", url="https://mirror.test/simple/")

    assert upstream.type == "pypi"
    assert upstream.hosts == {"mirror.test", *PRESETS["pypi"].hosts}


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({}, None),
        ({"token": "secret"}, "Bearer secret"),
        ({"username": "a", "password": "b:ü"}, "Basic YTpiOsO8"),
        ({"password": "b"}, "Basic OmI="),
    ],
)
def test_the_credentials_of_an_upstream(keys: dict[str, str], header: str | None) -> None:
    assert built(type="pypi", url="https://a.test/", **keys).authorization() == header


def test_secrets_do_not_show_in_its_text() -> None:
    upstream = built(type="pypi", url="https://a.test/", username="u", password="hunter2")

    assert "hunter2" not in repr(upstream)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("mine", {"preset": "pipy"}, r"upstreams\.mine\.preset: unknown preset 'pipy' \(known: pypi, "),
        ("mine", {"url": "https://a.test/"}, r"upstreams\.mine\.type: missing"),
        ("mine", {"type": "pypi"}, r"upstreams\.mine\.url: missing"),
        ("mine", {"type": "pypi", "url": "ftp://a.test/"}, r"upstreams\.mine\.url: not an http"),
        ("mine", {"type": "pypi", "url": "https://u:p@a.test/"}, r"upstreams\.mine\.url: .*userinfo.*`username`"),
        ("mine", {"type": "pypi", "url": "https://a.test/?x=1"}, r"upstreams\.mine\.url: .*query"),
        ("mine", {"preset": "pypi", "hosts": ("ok.test", "https://a.test")}, r"upstreams\.mine\.hosts\.1: expected"),
        ("mine", {"preset": "pypi", "hosts": ("*",)}, r"upstreams\.mine\.hosts\.0: expected"),
        ("mine", {"preset": "pypi", "hosts": ("a.test/x",)}, r"upstreams\.mine\.hosts\.0: expected"),
        ("mine", {"preset": "pypi", "read_timeout": 0.0}, r"upstreams\.mine\.read_timeout: expected seconds"),
        ("mine", {"preset": "pypi", "max_age": -1.0}, r"upstreams\.mine\.max_age: expected seconds"),
        ("mine", {"preset": "pypi", "retries": 11}, r"upstreams\.mine\.retries: expected 0 to 10, got 11"),
        ("mine", {"preset": "pypi", "token": "a", "username": "b"}, r"upstreams\.mine\.token: either"),
        ("mine", {"preset": "pypi", "token": "a\n"}, r"upstreams\.mine\.token: control characters"),
        ("mine", {"preset": "pypi", "username": "a:b"}, r"upstreams\.mine\.username: a colon"),
        ("hosted", {"preset": "pypi"}, r"upstreams\.hosted: not a name"),
        ("team/main", {"preset": "pypi"}, r"upstreams\.team/main: not a name"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(name: str, keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message) as caught:
        built(name, **keys)

    assert "u:p" not in str(caught.value)
