"""What a person pastes: well-formed, with one address, and tokens that no public repository needs."""

import re
import xml.etree.ElementTree as ET

import pytest

from adapters.maven.snippets import SNIPPETS
from gateway.adapter import SnippetContext

BASE = "https://pkg.example.com/maven/acme/jvm/"


def context(base: str = BASE, *, is_anonymous: bool = False) -> SnippetContext:
    return SnippetContext(base, "pkg.example.com:8443", "acme", "jvm", is_anonymous)


@pytest.mark.parametrize("client", SNIPPETS)
def test_every_snippet_names_the_one_address(client: str) -> None:
    found = SNIPPETS[client](context())

    assert set(re.findall(r"https?://[^\s\"<]+", found)) == {BASE}


def test_mavens_settings_mirror_everything_with_the_servers_id() -> None:
    found = SNIPPETS["maven"](context())

    settings = ET.fromstring(found.partition("<!-- pom.xml")[0])
    assert settings.findtext("mirrors/mirror/mirrorOf") == "*"
    assert settings.findtext("mirrors/mirror/id") == settings.findtext("servers/server/id")
    assert settings.findtext("profiles/profile/repositories/repository/snapshots/enabled") == "true"


def test_gradle_is_let_through_plain_http_only_where_there_is_no_other() -> None:
    assert "isAllowInsecureProtocol" not in SNIPPETS["gradle"](context())
    assert "isAllowInsecureProtocol" in SNIPPETS["gradle"](context("http://localhost:8080/maven/acme/jvm/"))
    assert "credentials" not in SNIPPETS["gradle"](context(is_anonymous=True))


def test_sbt_chooses_credentials_by_host_and_realm() -> None:
    assert 'Credentials("acme/jvm", "pkg.example.com", ' in SNIPPETS["sbt"](context())
