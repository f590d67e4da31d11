import pytest

from gateway.auth import narrowing
from gateway.model import Scope, TokenLimits, matches

READ, WRITE, DELETE, ADMIN = Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN


def limits(*scopes, **narrowing) -> TokenLimits:
    return TokenLimits(1, frozenset(scopes), **narrowing)


@pytest.mark.parametrize(
    ("asked", "by", "expected"),
    [
        (limits(READ), limits(READ), True),
        (limits(READ), limits(WRITE), True),
        (limits(READ, WRITE), limits(WRITE), True),
        (limits(WRITE), limits(READ), False),
        (limits(DELETE), limits(WRITE), False),
        (limits(WRITE), limits(DELETE), False),
        (limits(ADMIN), limits(READ, WRITE, DELETE), False),
        (limits(READ, WRITE, DELETE), limits(ADMIN), True),
        (limits(READ, expires_at=10.0), limits(READ, expires_at=10.0), True),
        (limits(READ, expires_at=11.0), limits(READ, expires_at=10.0), False),
        (limits(READ), limits(READ, expires_at=10.0), False),
        (limits(READ, expires_at=10.0), limits(READ), True),
        (limits(READ), limits(READ, repositories=("pypi/acme/*",)), False),
        (limits(READ, repositories=("pypi/acme/tools",)), limits(READ, repositories=("pypi/acme/*",)), True),
        (
            limits(READ, repositories=("pypi/acme/tools", "npm/acme/web")),
            limits(READ, repositories=("pypi/acme/*",)),
            False,
        ),
        (limits(READ, repositories=("*",)), limits(READ, repositories=("*/*/*",)), False),
        (limits(READ, packages=("acme-web",)), limits(READ, packages=("acme-*",)), True),
        (limits(READ), limits(READ, packages=("acme-*",)), False),
        (limits(READ, cidrs=("10.1.0.0/16",)), limits(READ, cidrs=("10.0.0.0/8",)), True),
        (limits(READ, cidrs=("10.1.0.0/16", "0.0.0.0/0")), limits(READ, cidrs=("10.0.0.0/8",)), False),
        (limits(READ), limits(READ, cidrs=("10.0.0.0/8",)), False),
    ],
)
def test_a_token_lies_within_another(asked, by, expected):
    assert narrowing.is_within(asked, by) is expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("*", "pypi/acme/tools", True),
        ("*", "*", True),
        ("*/*/*", "*", False),
        ("pypi/acme/*", "pypi/acme/tools", True),
        ("pypi/acme/*", "pypi/acme/t*", True),
        ("pypi/acme/t*", "pypi/acme/*", False),
        ("pypi/acme/*", "pypi/*/tools", False),
        ("pypi/acme/*", "*/acme/tools", False),
        ("pypi/acme/*", "pypi/acme", False),
        ("pypi/acme/*", "pypi/acme/x/y", False),
        ("pypi/a*e/tools", "pypi/a*e/tools", True),
        ("pypi/a*e/tools", "pypi/ab*e/tools", False),
    ],
)
def test_a_repository_pattern_covers_another(wide, narrow, expected):
    assert narrowing.covers_repository(wide, narrow) is expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("*", "anything", True),
        ("*", "any*", True),
        ("acme-*", "acme-web", True),
        ("acme-*", "acme-web*", True),
        ("acme-*", "acme*", False),
        ("acme-*", "acme-[ab]", True),
        ("acme-*", "[a]cme-web", False),
        ("acme-*-x", "acme-?-x", False),
        ("com.acme.**", "com.acme", True),
        ("", "acme", False),
    ],
)
def test_a_package_pattern_covers_another(wide, narrow, expected):
    assert narrowing.covers_package(wide, narrow) is expected


def test_what_is_covered_never_names_more():
    patterns = ["*", "a*", "ab*", "a?", "a*b", "[ab]*", "ab", "abb", "b", "*b", "a.**", "a.*"]
    names = ["a", "b", "ab", "abb", "aab", "bb", "a.b", "abc"]

    for wide in patterns:
        for narrow in patterns:
            if narrowing.covers_package(wide, narrow):
                assert all(matches(wide, name) for name in names if matches(narrow, name)), (wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("10.0.0.0/8", "10.1.0.0/16", True),
        ("10.1.0.0/16", "10.0.0.0/8", False),
        ("::/0", "10.0.0.0/8", False),
        ("2001:db8::/32", "2001:db8:1::/48", True),
        ("nonsense", "10.0.0.0/8", False),
        ("10.0.0.0/8", "nonsense", False),
    ],
)
def test_a_network_covers_another(wide, narrow, expected):
    assert narrowing.covers_network(wide, narrow) is expected
