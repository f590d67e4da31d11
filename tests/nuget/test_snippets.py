"""Configuration to paste."""

import xml.etree.ElementTree as ET

import pytest

from adapters.nuget.snippets import SNIPPETS
from gateway.adapter import SnippetContext

BASE = "https://pkgs.example.com/nuget/acme/tools/"


def config(base: str = BASE, *, is_anonymous: bool = False) -> ET.Element:
    return ET.fromstring(SNIPPETS["nuget"](SnippetContext(base, "pkgs.example.com", "acme", "tools", is_anonymous)))


def test_the_only_source_is_ours():
    sources = config().find("packageSources")

    assert sources is not None
    assert [child.tag for child in sources] == ["clear", "add"]
    assert sources[1].attrib["value"] == f"{BASE}index.json"
    assert config().find("packageSourceMapping/packageSource/package").attrib["pattern"] == "*"


@pytest.mark.parametrize("is_anonymous", [True, False])
def test_credentials_are_only_named_where_they_are_needed(is_anonymous):
    found = config(is_anonymous=is_anonymous).find("packageSourceCredentials")

    assert (found is None) is is_anonymous


def test_a_plain_http_source_is_allowed_by_name():
    source = config("http://localhost:8080/nuget/acme/tools/").find("packageSources/add")

    assert source.attrib["allowInsecureConnections"] == "true"
    assert "allowInsecureConnections" not in config().find("packageSources/add").attrib


def test_powershell_has_both_generations():
    text = SNIPPETS["powershell"](SnippetContext(BASE, "pkgs.example.com", "acme", "tools", True))

    assert f"{BASE}index.json" in text
    assert f"{BASE}v2 " in text
