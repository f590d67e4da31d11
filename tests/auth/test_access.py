"""The access decision, as tables. `r w d a` are read, write, delete and admin; `-` is nothing."""

import itertools

import pytest

from gateway.auth import access
from gateway.errors import Invalid
from gateway.model import Actor, ActorKind, Repository, RepositoryKey, Scope, TokenLimits, Visibility
from gateway.store.rows import GrantRow, Rights

NOW = 1_000_000.0
LETTERS = {"r": Scope.READ, "w": Scope.WRITE, "d": Scope.DELETE, "a": Scope.ADMIN}
ALL = "rwda"
OFFICE = "10.1.0.0/16"
INSIDE = "10.1.2.3"
OUTSIDE = "203.0.113.9"


def scopes(letters: str) -> frozenset[Scope]:
    return frozenset(LETTERS[letter] for letter in letters if letter != "-")


def repository(visibility=Visibility.PRIVATE, key="pypi/acme/tools") -> Repository:
    return Repository(1, RepositoryKey.parse(key), visibility=visibility)


def user(name="bob", token=None, address=OUTSIDE) -> Actor:
    return Actor(ActorKind.USER, 7, name, token=token, address=address)


def service(name="builder", token=None) -> Actor:
    return Actor(ActorKind.SERVICE, 8, name, token=token, address=OUTSIDE)


def nobody(address=OUTSIDE) -> Actor:
    return Actor(ActorKind.ANONYMOUS, 0, "anonymous", address=address)


def grant(role="read", pattern="pypi/acme/tools", package="*", cidr=None, kind="user") -> GrantRow:
    return GrantRow(1, kind, 7 if kind == "user" else None, role, pattern, package, cidr)


def found(rights, actor, repo, package: "str | None" = "widget", restricted=False) -> frozenset[Scope]:
    effective = access.effective_scopes(rights, actor, repo, package, restricted=restricted, now=NOW)
    for scope in Scope:
        decided = access.decide(rights, actor, repo, package, scope, restricted=restricted, now=NOW)
        assert decided == (scope in effective)
    return effective


WHO = {
    "nobody": (Rights(), nobody()),
    "stranger": (Rights(), user()),
    "service": (Rights(), service()),
    "member": (Rights(organisations={"acme": "member"}), user()),
    "member elsewhere": (Rights(organisations={"other": "owner"}), user()),
    "organisation owner": (Rights(organisations={"acme": "owner"}), user()),
    "owner by name": (Rights(), user("acme")),
    "service of the owner's name": (Rights(), service("acme")),
    "administrator": (Rights(is_admin=True), user()),
    "administrator's rights on nobody": (Rights(is_admin=True, organisations={"acme": "owner"}), nobody()),
}
PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE


@pytest.mark.parametrize(
    ("who", "public", "internal", "private", "restricted"),
    [
        ("nobody", "r", "-", "-", "-"),
        ("stranger", "r", "r", "-", "-"),
        ("service", "r", "r", "-", "-"),
        ("member", "r", "r", "r", "-"),
        ("member elsewhere", "r", "r", "-", "-"),
        ("organisation owner", ALL, ALL, ALL, ALL),
        ("owner by name", ALL, ALL, ALL, ALL),
        ("service of the owner's name", "r", "r", "-", "-"),
        ("administrator", ALL, ALL, ALL, ALL),
        ("administrator's rights on nobody", "r", "-", "-", "-"),
    ],
)
def test_visibility_and_membership(who, public, internal, private, restricted):
    rights, actor = WHO[who]

    for visibility, expected in ((PUBLIC, public), (INTERNAL, internal), (PRIVATE, private)):
        for package in ("widget", None):
            assert found(rights, actor, repository(visibility), package) == scopes(expected)
        assert found(rights, actor, repository(visibility), restricted=True) == scopes(restricted)


@pytest.mark.parametrize(
    ("role", "expected"),
    [("read", "r"), ("write", "rw"), ("delete", "rd"), ("admin", ALL), ("owner", "-"), ("", "-")],
)
def test_the_role_of_a_grant_for_the_whole_repository(role, expected):
    rights = Rights(grants=(grant(role),))

    assert found(rights, user(), repository()) == scopes(expected)
    assert found(rights, user(), repository(), None) == scopes(expected)
    assert found(rights, user(), repository(key="pypi/acme/other")) == scopes("-")
    assert found(rights, user(), repository(), restricted=True) == scopes(ALL if role == "admin" else "-")


@pytest.mark.parametrize("role", ["read", "write", "delete", "admin"])
def test_the_role_of_a_grant_for_some_packages(role):
    rights = Rights(grants=(grant(role, package="wid*"),))

    assert found(rights, user(), repository()) == access.ROLES[role]
    assert found(rights, user(), repository(), restricted=True) == access.ROLES[role]
    assert found(rights, user(), repository(), "gadget") == scopes("-")
    assert found(rights, user(), repository(), None) == scopes("r"), "it may see the repository, and no more"


@pytest.mark.parametrize("package", ["*", "**", "?*", "*?"])
def test_a_pattern_for_any_package_does_not_open_a_restricted_one(package):
    rights = Rights(grants=(grant("write", package=package),))

    assert found(rights, user(), repository()) == scopes("rw")
    assert found(rights, user(), repository(), restricted=True) == scopes("-")


@pytest.mark.parametrize(
    ("pattern", "key", "does"),
    [
        ("*", "pypi/acme/tools", True),
        ("pypi/acme/tools", "pypi/acme/tools", True),
        ("pypi/acme/*", "pypi/acme/tools", True),
        ("*/acme/*", "npm/acme/web", True),
        ("pypi/*/tools", "pypi/other/tools", True),
        ("pypi/acme/tools", "npm/acme/tools", False),
        ("pypi/acme/tools", "pypi/acme/tools2", False),
        ("pypi/acme", "pypi/acme/tools", False),
        ("pypi/*", "pypi/acme/tools", False),
        ("pypi/acme/*", "pypi/acme-evil/tools", False),
        ("pypi/a*/tools", "pypi/acme/tools", True),
        ("pypi/Acme/*", "pypi/acme/tools", False),
        ("", "pypi/acme/tools", False),
        ("pypi/acme/*/x", "pypi/acme/tools", False),
    ],
)
def test_a_repository_pattern_stays_within_its_segments(pattern, key, does):
    assert access.repository_matches(pattern, RepositoryKey.parse(key)) is does
    rights = Rights(grants=(grant("read", pattern),))
    assert found(rights, user(), repository(key=key)) == scopes("r" if does else "-")


@pytest.mark.parametrize(
    ("cidr", "address", "does"),
    [
        (OFFICE, INSIDE, True),
        (OFFICE, OUTSIDE, False),
        (OFFICE, "::ffff:10.1.2.3", True),
        (OFFICE, "", False),
        (OFFICE, "unknown", False),
        (OFFICE, "10.1.2.3, 203.0.113.9", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", INSIDE, False),
        ("not a network", INSIDE, False),
        ("", INSIDE, False),
        (None, OUTSIDE, True),
        (None, "", True),
    ],
)
def test_a_grant_holds_only_from_its_network(cidr, address, does):
    expected = scopes("r" if does else "-")

    anonymous = Rights(grants=(grant(kind="anonymous", cidr=cidr),))
    assert found(anonymous, nobody(address), repository()) == expected
    personal = Rights(grants=(grant(cidr=cidr),))
    assert found(personal, user(address=address), repository()) == expected


@pytest.mark.parametrize(
    ("kind", "for_nobody", "for_somebody"),
    [("anonymous", "r", "r"), ("everyone", "-", "r"), ("user", "-", "r"), ("team", "-", "r"), ("service", "-", "r")],
)
def test_nobody_gets_only_what_was_given_to_nobody(kind, for_nobody, for_somebody):
    rights = Rights(grants=(grant(kind=kind),))

    assert found(rights, nobody(), repository()) == scopes(for_nobody)
    assert found(rights, user(), repository()) == scopes(for_somebody)


def test_a_restricted_package_may_be_opened_to_nobody_by_name():
    rights = Rights(grants=(grant(kind="anonymous", package="widget"),))

    assert found(rights, nobody(), repository(), restricted=True) == scopes("r")


def test_grants_add_up():
    rights = Rights(grants=(grant("write", package="wid*"), grant("delete"), grant("read", "*")))

    assert found(rights, user(), repository()) == scopes("rwd")
    assert found(rights, user(), repository(), "gadget") == scopes("rd")
    assert found(rights, user(), repository(), restricted=True) == scopes("rw")


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────
def token(letters="rwda", **narrowing) -> TokenLimits:
    return TokenLimits(1, scopes(letters), **narrowing)


@pytest.mark.parametrize(
    ("letters", "expected"),
    [("r", "r"), ("w", "rw"), ("d", "rd"), ("wd", "rwd"), ("a", ALL), ("rw", "rw"), ("-", "-")],
)
def test_a_token_narrows_to_its_scopes(letters, expected):
    assert found(Rights(is_admin=True), user(token=token(letters)), repository()) == scopes(expected)


@pytest.mark.parametrize(
    ("narrowing", "package", "expected"),
    [
        ({"repositories": ("pypi/acme/tools",)}, "widget", ALL),
        ({"repositories": ("npm/acme/*", "pypi/acme/*")}, None, ALL),
        ({"repositories": ("pypi/acme/other",)}, "widget", "-"),
        ({"repositories": ("pypi/acme/other",)}, None, "-"),
        ({"packages": ("wid*",)}, "widget", ALL),
        ({"packages": ("wid*",)}, "gadget", "-"),
        ({"packages": ("wid*",)}, None, "r"),
        ({"packages": ("wid*",), "repositories": ("npm/*/*",)}, "widget", "-"),
        ({"cidrs": (OFFICE,)}, "widget", "-"),
        ({"cidrs": (OFFICE, "203.0.113.0/24")}, "widget", ALL),
        ({"cidrs": ("nonsense",)}, "widget", "-"),
        ({"expires_at": NOW}, "widget", "-"),
        ({"expires_at": NOW - 1}, "widget", "-"),
        ({"expires_at": NOW + 1}, "widget", ALL),
    ],
)
def test_a_token_narrows_to_its_limits(narrowing, package, expected):
    actor = user(token=token(**narrowing))

    for restricted in (False, True):
        if package is not None or not restricted:
            assert found(Rights(is_admin=True), actor, repository(), package, restricted) == scopes(expected)


def test_a_token_never_adds_to_what_its_actor_holds():
    """Every combination of visibility, actor, grant, token, restriction and package."""
    grants = [(), *(((grant(role, package=package),)) for role in access.ROLES for package in ("*", "widget", "other"))]
    tokens = [
        token(letters, **narrowing)
        for letters in ("r", "w", "d", "a", "rwd")
        for narrowing in ({}, {"packages": ("widget",)}, {"repositories": ("*/acme/*",)}, {"expires_at": NOW - 1})
    ]
    for visibility, who, given, restricted, package in itertools.product(
        Visibility, WHO, grants, (False, True), ("widget", "other", None)
    ):
        rights, actor = WHO[who]
        both = Rights(rights.is_admin, rights.organisations, rights.teams, given)
        held = access.held_scopes(both, actor, repository(visibility), package, restricted=restricted)
        assert Scope.READ in held or not held, "write, delete and admin imply read"
        assert Scope.ADMIN not in held or held == frozenset(Scope)
        if actor.is_anonymous:
            assert held <= scopes("r")
            continue
        for limits in tokens:
            narrowed = Actor(actor.kind, actor.id, actor.name, actor.is_admin, limits, OUTSIDE)
            effective = access.effective_scopes(
                both, narrowed, repository(visibility), package, restricted=restricted, now=NOW
            )
            assert effective <= held
            assert effective <= access.implied(limits.scopes)
            assert limits.expires_at is None or not effective


@pytest.mark.parametrize(
    ("narrowing", "expected"),
    [
        (None, ALL),
        ({}, ALL),
        ({"repositories": ("*",)}, "-"),
        ({"packages": ("widget",)}, "-"),
        ({"expires_at": NOW}, "-"),
        ({"cidrs": (OFFICE,)}, "-"),
    ],
)
def test_a_narrowed_token_does_nothing_beyond_packages(narrowing, expected):
    actor = user(token=None if narrowing is None else token(**narrowing))

    assert {scope for scope in Scope if access.token_allows(actor, scope, now=NOW)} == scopes(expected)


def test_a_token_without_the_scope_does_not_manage_accounts():
    assert not access.token_allows(user(token=token("rwd")), Scope.ADMIN, now=NOW)


@pytest.mark.parametrize(("text", "expected"), [(" 10.1.2.3/16", "10.1.0.0/16"), ("::1", "::1/128")])
def test_a_network_is_kept_in_its_usual_spelling(text, expected):
    assert access.check_cidr(text) == expected


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "example.com", "10.0.0.1-5"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(Invalid):
        access.check_cidr(text)
