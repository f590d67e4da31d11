"""Tokens and grants on the command line."""

import re
import sqlite3
import time

import pytest

from gateway.auth import tokens


@pytest.fixture(autouse=True)
def _ann(entrepot):
    entrepot("user", "create", "ann")


def test_a_token_is_all_that_is_printed_where_no_terminal_is(entrepot):
    result = entrepot("token", "create", "--user", "ann", "--scope", "read,write")

    assert re.fullmatch(r"ent_[0-9A-Za-z]{36}\n", result.out)
    assert tokens.is_well_formed(result.out.strip())
    assert result.err == ""


def test_the_secret_is_nowhere_in_the_data_folder(entrepot, data):
    secret = entrepot("token", "create", "--user", "ann").out.strip().encode()

    for path in data.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()


def test_a_token_is_narrowed_as_told(entrepot, data):
    entrepot(
        *("token", "create", "--user", "ann", "--scope", "delete", "--scope", "write", "--expires-in", "7"),
        *("--repository", "pypi/acme/*", "--package", "left-*", "--cidr", "192.0.2.1/24", "--name", "ci"),
    )

    row = (
        sqlite3.connect(data / "catalogue.sqlite")
        .execute("SELECT name, scopes, repositories, packages, cidrs, expires_at FROM token")
        .fetchone()
    )

    assert row[:5] == (
        "ci",
        '["delete:packages","write:packages"]',
        '["pypi/acme/*"]',
        '["left-*"]',
        '["192.0.2.0/24"]',
    )
    assert 6.9 < (row[5] - time.time()) / 86400 < 7.1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--user", "zoe"), "there is no user or service zoe"),
        (("--user", "ann", "--scope", "everything"), "--scope: expected read, write, delete or admin"),
        (("--user", "ann", "--cidr", "here"), "not a network: 'here'"),
        (("--user", "ann", "--repository", "acme"), "expected type/owner/repository with wildcards"),
        (("--user", "ann", "--expires-in", "-1"), "--expires-in: expected days above 0"),
    ],
)
def test_a_wrong_token_is_refused_in_one_line(entrepot, words, complaint):
    result = entrepot("token", "create", *words)

    assert result.code in {1, 2}
    assert result.out == ""
    assert result.err.startswith(f"error: {complaint}")
    assert result.err.count("\n") == 1


def test_a_token_is_listed_without_its_secret_and_revoked(entrepot):
    secret = entrepot("token", "create", "--user", "ann", "--name", "laptop").out.strip()

    listed = entrepot("token", "list", "--user", "ann").out

    assert listed.split("\t")[:5] == ["1", "ann", "laptop", secret[:8], "read:packages"]
    assert secret not in listed
    assert entrepot("token", "revoke", "1").code == 0
    assert entrepot("token", "list").out == ""
    assert entrepot("token", "revoke", "1").err == "error: there is no token 1\n"


def test_a_name_cannot_steer_the_terminal(entrepot, data):
    entrepot("token", "create", "--user", "ann", "--name", "x")
    database = sqlite3.connect(data / "catalogue.sqlite")
    database.execute("UPDATE token SET name = ?", ("\x1b[2J\x1b]0;owned\x07[red]\nfake\tline",))
    database.commit()
    database.close()

    listed = entrepot("token", "list").out

    assert "\x1b" not in listed
    assert listed.count("\n") == 1
    assert "\\x1b[2J\\x1b]0;owned\\x07[red]\\nfake\\tline" in listed


def test_grants_are_given_listed_and_taken_back(entrepot):
    entrepot("org", "create", "acme")
    entrepot("org", "team", "create", "acme/devs")
    entrepot("service", "create", "robot")

    for words in (
        ("acme/devs", "write", "pypi/acme/*"),
        ("robot", "read", "*", "--package", "left", "--cidr", "192.0.2.0/24"),
        ("anonymous", "read", "npm/acme/web"),
        ("everyone", "read", "*"),
        ("ann", "admin", "*/acme/*"),
    ):
        assert entrepot("grant", "add", *words).code == 0

    assert [line.split("\t") for line in entrepot("grant", "list").out.splitlines()] == [
        ["1", "acme/devs", "write", "pypi/acme/*", "*", ""],
        ["2", "robot", "read", "*", "left", "192.0.2.0/24"],
        ["3", "anonymous", "read", "npm/acme/web", "*", ""],
        ["4", "everyone", "read", "*", "*", ""],
        ["5", "ann", "admin", "*/acme/*", "*", ""],
    ]
    assert entrepot("grant", "remove", "2").code == 0
    assert entrepot("grant", "remove", "2").code == 1


@pytest.mark.parametrize(
    "words", [("ann", "own", "*"), ("zoe", "read", "*"), ("acme/x", "read", "*"), ("ann", "read", "a")]
)
def test_a_wrong_grant_is_refused(entrepot, words):
    result = entrepot("grant", "add", *words)

    assert result.code in {1, 2}
    assert result.err.count("\n") == 1
    assert entrepot("grant", "list").out == ""


def test_a_token_for_automation_is_for_somebody_with_codes_and_does_not_administer(entrepot):
    entrepot("user", "create", "ann")
    make = ("token", "create", "--user", "ann", "--automation", "--scope")

    early = entrepot(*make, "write")
    entrepot("user", "otp", "enable", "ann")
    made, wide = entrepot(*make, "write"), entrepot(*make, "admin")

    assert (early.code, early.err) == (2, "error: ann has no one-time codes: every token of theirs works without\n")
    assert made.out.startswith("ent_")
    assert (wide.code, wide.err) == (2, "error: a token for automation does not administer\n")
