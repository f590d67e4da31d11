import re
from pathlib import Path

import pytest

from adapters.npm.snippets import SNIPPETS
from gateway.adapter import SnippetContext

BASE = "https://pkgs.example.com/npm/acme/widgets/"


@pytest.mark.parametrize("client", SNIPPETS)
@pytest.mark.parametrize("is_anonymous", [True, False])
def test_every_address_ends_with_a_slash(client, is_anonymous):
    """Without it npm publish finds no token (npm.md §20, item 21)."""
    text = SNIPPETS[client](SnippetContext(BASE, "pkgs.example.com", "acme", "widgets", is_anonymous))

    addresses = re.findall(r"//pkgs\.example\.com[^\s\"':]*", text)
    assert addresses
    assert all(address.endswith("/npm/acme/widgets/") for address in addresses)
    assert ("YOUR_TOKEN" in text) is not is_anonymous


def test_the_page_on_clients_names_the_slash_and_what_npm_says_without_it():
    """npm.md §20, item 21."""
    page = Path(__file__).parents[2].joinpath("docs/clients.md").read_text(encoding="utf-8")
    section = page.partition("## npm")[2].partition("\n## ")[0]

    assert "trailing slash" in section
    assert "`ENEEDAUTH`" in section
    keys = re.findall(r"^registry=(\S+)$|^(//\S+):_authToken=", section, re.MULTILINE)
    assert len(keys) == 2
    assert all((registry or key).endswith("/") for registry, key in keys)


def test_all_six_clients_have_one():
    assert set(SNIPPETS) == {"npm", "pnpm", "yarn (classic)", "yarn (berry)", "bun", "deno"}


def test_a_plain_http_host_is_allowed_for_yarn():
    text = SNIPPETS["yarn (berry)"](SnippetContext("http://localhost:8080/npm/a/b/", "localhost:8080", "a", "b", True))

    assert '- "localhost"' in text
