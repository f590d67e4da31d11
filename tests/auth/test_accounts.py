import pytest

from gateway.auth import access, tokens
from gateway.auth.credential import Credential
from gateway.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    GatewayError,
    Invalid,
    Unauthenticated,
    Unknown,
)
from gateway.model import ActorKind, Repository, RepositoryKey, Scope, TokenLimits, Visibility
from tests.auth.world import OUTSIDE, PASSWORD

READ, WRITE, DELETE, ADMIN = Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN
TOOLS = Repository(1, RepositoryKey.parse("pypi/acme/tools"), visibility=Visibility.PRIVATE)


def limits(*scopes, **narrowing) -> TokenLimits:
    return TokenLimits(99, frozenset(scopes), **narrowing)


@pytest.fixture
async def people(world):
    """root administers; olga owns acme, max is in it; eve is in nothing; builder is a service account."""
    await world.user("root", is_admin=True)
    for name in ("olga", "max", "eve"):
        await world.user(name)
    await world.service("builder")
    await world.organisation("acme", "olga", "max")
    return world


def may(world, name: str, scope: Scope, package: str = "widget", token=None) -> bool:
    accounts = world.acting(name, token)
    return access.decide(accounts.rights, accounts.actor, TOOLS, package, scope, now=world.clock.now)


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_token_is_shown_once_and_stored_as_its_hash(people):
    secret, row = await people.acting("eve").create_token(name=" laptop ", scopes=[READ])

    assert tokens.is_well_formed(secret)
    assert (row.name, row.hint, row.scopes) == ("laptop", secret[:8], frozenset({READ}))
    assert secret.encode() not in people.database.path.read_bytes()
    entry = (await people.audit.list())[0]
    assert (entry.actor, entry.action, entry.address, entry.request_id) == ("eve", "token.create", OUTSIDE, "request-1")
    assert secret not in str(entry)


async def test_nobody_makes_no_token(people):
    with pytest.raises(Unauthenticated):
        await people.accounts().create_token(name="x", scopes=[READ])


@pytest.mark.parametrize(
    ("asked", "by"),
    [
        ({"scopes": [WRITE]}, limits(READ)),
        ({"scopes": [DELETE]}, limits(READ, WRITE)),
        ({"scopes": [ADMIN]}, limits(READ, WRITE, DELETE)),
        ({"scopes": [READ]}, limits(READ, repositories=("pypi/acme/tools",))),
        ({"scopes": [READ], "repositories": ["pypi/acme/*"]}, limits(READ, repositories=("pypi/acme/tools",))),
        ({"scopes": [READ]}, limits(READ, packages=("widget",))),
        ({"scopes": [READ], "packages": ["*"]}, limits(READ, packages=("widget",))),
        ({"scopes": [READ]}, limits(READ, cidrs=("203.0.113.0/24",))),
        ({"scopes": [READ], "cidrs": ["0.0.0.0/0"]}, limits(READ, cidrs=("203.0.113.0/24",))),
        ({"scopes": [READ]}, limits(ADMIN, expires_at=1_700_000_010.0)),
        ({"scopes": [READ], "expires_at": 1_700_000_011.0}, limits(ADMIN, expires_at=1_700_000_010.0)),
    ],
)
async def test_a_narrower_token_mints_no_wider_one(people, asked, by):
    for name in ("eve", "root"):
        with pytest.raises(Forbidden):
            await people.acting(name, by).create_token(name="wider", **asked)

    assert await people.identities.tokens() == []


async def test_a_token_mints_one_like_itself_or_narrower(people):
    by = limits(WRITE, repositories=("pypi/acme/*",), cidrs=("203.0.113.0/24",), expires_at=people.clock.now + 10)

    _, row = await people.acting("eve", by).create_token(
        name="narrower",
        scopes=[READ],
        repositories=["pypi/acme/tools"],
        cidrs=["203.0.113.7"],
        expires_at=people.clock.now + 9,
    )

    assert row.cidrs == ("203.0.113.7/32",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "line\nbreak"},
        {"repositories": ["pypi/acme"]},
        {"repositories": ["pypi/acme/[a-z]"]},
        {"repositories": ["*"] + [f"pypi/acme/r{n}" for n in range(100)]},
        {"packages": [""]},
        {"packages": ["a b"]},
        {"cidrs": ["everywhere"]},
        {"expires_at": 1_700_000_000.0},
        {"expires_at": float("nan")},
        {"expires_at": 1e30},
    ],
)
async def test_a_token_with_wrong_limits_is_refused(people, wrong):
    with pytest.raises(Invalid):
        await people.acting("eve").create_token(**{"name": "x", "scopes": [READ], **wrong})


async def test_nobody_mints_for_another_person(people):
    for name in ("eve", "root"):
        with pytest.raises(Forbidden):
            await people.acting(name).create_token(name="x", scopes=[READ], owner="max")
    for name in ("eve", "olga"):
        with pytest.raises(Forbidden):
            await people.acting(name).create_token(name="x", scopes=[READ], owner="builder")


async def test_an_administrator_mints_for_a_service_account(people):
    secret, _ = await people.acting("root").create_token(name="ci", scopes=[WRITE], owner="builder")

    actor = await people.authenticator.actor(Credential(secret), OUTSIDE)
    assert (actor.kind, actor.name) == (ActorKind.SERVICE, "builder")


async def test_an_administrator_with_a_reading_token_does_not_administer(people):
    weak = people.acting("root", limits(READ, WRITE, DELETE))

    for attempt in (
        weak.create_token(name="x", scopes=[READ], owner="builder"),
        weak.create_user("mallory", is_admin=True),
        weak.update_actor(ActorKind.USER, "eve", is_admin=True),
        weak.set_member("acme", "eve", "owner"),
        weak.create_grant(subject_kind="user", subject="eve", role="admin", repository="*"),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_a_token_lists_and_revokes_what_it_could_have_made(people):
    narrow_secret, narrow = await people.acting("eve").create_token(name="narrow", scopes=[READ])
    _, wide = await people.acting("eve").create_token(name="wide", scopes=[WRITE])
    thief = people.acting("eve", narrow.limits())

    assert [row.id for row in await thief.tokens()] == [narrow.id]
    with pytest.raises(Unknown):
        await thief.revoke_token(wide.id)
    await thief.revoke_token(narrow.id)
    with pytest.raises(Unauthenticated):
        await people.authenticator.actor(Credential(narrow_secret), OUTSIDE)


async def test_nobody_revokes_or_sees_anothers_token_but_an_administrator(people):
    _, row = await people.acting("max").create_token(name="x", scopes=[READ])

    for name in ("eve", "olga"):
        with pytest.raises(Unknown):
            await people.acting(name).revoke_token(row.id)
        with pytest.raises(Forbidden):
            await people.acting(name).tokens("max")
    assert [r.id for r in await people.acting("root").tokens("max")] == [row.id]
    await people.acting("root").revoke_token(row.id)
    with pytest.raises(Unknown):
        await people.acting("root").revoke_token(row.id)


async def test_whoever_holds_a_secret_may_end_it(people):
    secret, _ = await people.acting("max").create_token(name="leaked", scopes=[READ])

    await people.acting("eve").revoke_secret(secret)

    with pytest.raises(Unknown):
        await people.acting("eve").revoke_secret(secret)
    with pytest.raises(Unknown):
        await people.acting("eve").revoke_secret("ent_nonsense")


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_only_administrators_manage_people(people):
    for name in ("eve", "olga", "max", "builder"):
        acting = people.acting(name)
        for attempt in (
            acting.users(),
            acting.services(),
            acting.create_user("mallory"),
            acting.create_service("bot"),
            acting.update_actor(ActorKind.USER, name, is_admin=True),
            acting.update_actor(ActorKind.USER, "root", is_disabled=True),
            acting.delete_actor(ActorKind.USER, "max"),
            acting.create_organisation("other"),
            acting.delete_organisation("acme"),
        ):
            with pytest.raises(Forbidden):
                await attempt
    assert await people.audited() == []


async def test_an_administrator_manages_people(people):
    root = people.acting("root")

    await root.create_user("ann", email="ann@example.com", password=PASSWORD)
    await root.create_service("bot")
    changed = await root.update_actor(ActorKind.USER, "ann", email="a@example.com", is_admin=True)
    await root.delete_actor(ActorKind.SERVICE, "bot")

    assert (changed.email, changed.is_admin, changed.has_password) == ("a@example.com", True, True)
    assert [row.name for row in await root.users()] == ["ann", "eve", "max", "olga", "root"]
    assert [row.name for row in await root.services()] == ["builder"]
    assert await people.audited() == ["user.create", "service.create", "user.update", "service.delete"]


@pytest.mark.parametrize(
    ("name", "more", "error"),
    [
        ("eve", {}, AlreadyExists),
        ("EVE", {}, AlreadyExists),
        ("acme", {}, AlreadyExists),
        ("anonymous", {}, Invalid),
        ("a/b", {}, Invalid),
        ("-", {}, Invalid),
        ("__token__", {}, Invalid),
        ("ann", {"password": "short"}, Invalid),
        ("ann", {"email": "nonsense"}, Invalid),
    ],
)
async def test_a_user_that_cannot_be_is_refused(people, name, more, error):
    with pytest.raises(error):
        await people.acting("root").create_user(name, **more)


async def test_the_last_administrator_stays(people):
    root = people.acting("root")

    for attempt in (
        root.update_actor(ActorKind.USER, "root", is_admin=False),
        root.update_actor(ActorKind.USER, "root", is_disabled=True),
        root.delete_actor(ActorKind.USER, "root"),
    ):
        with pytest.raises(Conflict):
            await attempt


@pytest.mark.parametrize("change", [{"password": PASSWORD}, {"is_admin": True}, {"email": "a@example.com"}])
async def test_a_service_account_stays_one(people, change):
    with pytest.raises(Invalid):
        await people.acting("root").update_actor(ActorKind.SERVICE, "builder", **change)
    with pytest.raises(Unknown):
        await people.acting("root").update_actor(ActorKind.USER, "builder", is_admin=True)


async def test_a_stolen_token_does_not_change_the_password(people):
    await people.user("ann", password=PASSWORD)

    with pytest.raises(Forbidden):
        await people.acting("ann", limits(ADMIN)).change_password(PASSWORD, "another good password")
    with pytest.raises(Forbidden):
        await people.acting("ann").change_password("wrong password", "another good password")


# ── organisations ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_owner_runs_the_organisation(people):
    olga = people.acting("olga")

    await olga.set_member("acme", "eve", "member")
    await olga.create_team("acme", "core")
    await olga.add_team_member("acme", "core", "builder")
    await olga.remove_member("acme", "max")

    assert [(m.name, m.role) for m in await olga.members("acme")] == [
        ("builder", "member"),
        ("eve", "member"),
        ("olga", "owner"),
    ]
    assert [team.name for team in await people.acting("eve").teams("acme")] == ["core"]
    assert [m.name for m in await people.acting("eve").team_members("acme", "core")] == ["builder"]
    await olga.remove_team_member("acme", "core", "builder")
    await olga.delete_team("acme", "core")
    assert await people.audited() == [
        "member.set",
        "team.create",
        "team.add",
        "member.remove",
        "team.remove",
        "team.delete",
    ]


@pytest.mark.parametrize("name", ["max", "eve", "builder"])
async def test_a_member_does_not_escalate(people, name):
    await people.acting("olga").create_team("acme", "core")
    acting = people.acting(name)

    for attempt in (
        acting.set_member("acme", name, "owner"),
        acting.set_member("acme", "eve", "member"),
        acting.remove_member("acme", "olga"),
        acting.create_team("acme", "mine"),
        acting.add_team_member("acme", "core", name),
        acting.delete_team("acme", "core"),
        acting.create_grant(subject_kind="user", subject=name, role="write", repository="pypi/acme/tools"),
        acting.create_grant(subject_kind="user", subject=name, role="read", repository="*"),
    ):
        with pytest.raises(Forbidden):
            await attempt
    assert not may(people, name, WRITE)


async def test_an_owner_stays_within_the_organisation(people):
    await people.user("rival")
    await people.organisation("rivals", "rival")
    olga = people.acting("olga")

    for attempt in (
        olga.set_member("rivals", "olga", "owner"),
        olga.members("rivals"),
        olga.create_team("rivals", "x"),
        olga.create_team("nothing-of-that-name", "x"),
        *(
            olga.create_grant(subject_kind="user", subject="olga", role="admin", repository=pattern)
            for pattern in ("*", "pypi/rivals/tools", "pypi/*/tools", "*/*/*", "pypi/acm*/tools", "pypi/rival/x")
        ),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_the_last_owner_stays(people):
    for attempt in (
        people.acting("olga").remove_member("acme", "olga"),
        people.acting("root").set_member("acme", "olga", "member"),
    ):
        with pytest.raises(Conflict):
            await attempt


async def test_who_is_in_may_leave(people):
    await people.acting("max").remove_member("acme", "max")

    with pytest.raises(Unknown):
        await people.acting("olga").remove_member("acme", "max")


async def test_a_service_account_does_not_own(people):
    with pytest.raises(Invalid):
        await people.acting("olga").set_member("acme", "builder", "owner")


async def test_everybody_sees_only_their_organisations(people):
    assert [o.name for o in await people.acting("max").organisations()] == ["acme"]
    assert await people.acting("eve").organisations() == []
    assert [o.name for o in await people.acting("root").organisations()] == ["acme"]
    with pytest.raises(Forbidden):
        await people.acting("eve").members("acme")


# ── grants ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_grant_gives_and_taking_it_back_takes(people):
    olga = people.acting("olga")

    row = await olga.create_grant(subject_kind="user", subject="eve", role="write", repository="pypi/acme/*")
    assert may(people, "eve", WRITE)
    assert olga.subject_of(row) == "eve"

    await olga.delete_grant(row.id)
    assert not may(people, "eve", READ)


async def test_a_team_has_what_it_was_given_while_one_is_in_it(people):
    olga = people.acting("olga")
    await olga.create_team("acme", "core")
    await olga.create_grant(subject_kind="team", subject="acme/core", role="write", repository="pypi/acme/tools")
    assert not may(people, "max", WRITE)

    await olga.add_team_member("acme", "core", "max")
    assert may(people, "max", WRITE)

    await olga.remove_member("acme", "max")
    assert not may(people, "max", READ)


async def test_an_administrator_by_grant_gives_within_it_only(people):
    await people.acting("olga").create_grant(
        subject_kind="user", subject="eve", role="admin", repository="pypi/acme/tools", package="acme-*"
    )
    eve = people.acting("eve")

    await eve.create_grant(
        subject_kind="user", subject="max", role="write", repository="pypi/acme/tools", package="acme-web"
    )
    for repository, package in (("pypi/acme/tools", "*"), ("pypi/acme/other", "acme-web"), ("pypi/acme/*", "acme-web")):
        with pytest.raises(Forbidden):
            await eve.create_grant(
                subject_kind="user", subject="eve", role="read", repository=repository, package=package
            )
    assert {row.package for row in await eve.grants()} == {"acme-*", "acme-web"}


async def test_an_administrator_by_grant_from_one_network_stays_in_it(people):
    await people.acting("olga").create_grant(
        subject_kind="user", subject="eve", role="admin", repository="pypi/acme/tools", cidr="10.0.0.0/8"
    )

    def give(address, cidr):
        return people.acting("eve", address=address).create_grant(
            subject_kind="user", subject="eve", role="write", repository="pypi/acme/tools", cidr=cidr
        )

    for address, cidr in ((OUTSIDE, "10.1.0.0/16"), ("10.1.1.1", None), ("10.1.1.1", "0.0.0.0/0")):
        with pytest.raises(Forbidden):
            await give(address, cidr)
    await give("10.1.1.1", "10.1.0.0/16")


@pytest.mark.parametrize(
    "token",
    [
        limits(READ, WRITE, DELETE),
        limits(ADMIN, repositories=("npm/acme/*",)),
        limits(ADMIN, packages=("widget",)),
        limits(ADMIN, expires_at=1.0),
        limits(ADMIN, cidrs=("10.0.0.0/8",)),
    ],
)
async def test_a_token_gives_no_further_than_it_reaches(people, token):
    for name in ("olga", "root"):
        with pytest.raises(Forbidden):
            await people.acting(name, token).create_grant(
                subject_kind="user", subject="eve", role="read", repository="pypi/acme/tools"
            )


async def test_a_token_narrowed_to_a_repository_gives_there(people):
    token = limits(ADMIN, repositories=("pypi/acme/tools",))

    await people.acting("olga", token).create_grant(
        subject_kind="user", subject="eve", role="read", repository="pypi/acme/tools"
    )

    assert may(people, "eve", READ)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"role": "owner"}, Invalid),
        ({"subject_kind": "robot"}, Invalid),
        ({"subject_kind": "user", "subject": None}, Invalid),
        ({"subject": "nobody-of-that-name"}, Unknown),
        ({"subject": "builder"}, Unknown),
        ({"subject_kind": "team", "subject": "acme/nothing"}, Unknown),
        ({"subject_kind": "anonymous"}, Invalid),
        ({"subject_kind": "anonymous", "subject": None, "role": "write"}, Invalid),
        ({"subject_kind": "everyone", "subject": None, "role": "admin"}, Invalid),
        ({"repository": "pypi/acme"}, Invalid),
        ({"package": ""}, Invalid),
        ({"cidr": "here"}, Invalid),
    ],
)
async def test_a_grant_that_cannot_be_is_refused(people, wrong, error):
    given = {"subject_kind": "user", "subject": "eve", "role": "read", "repository": "pypi/acme/tools", **wrong}

    with pytest.raises(error):
        await people.acting("olga").create_grant(**given)
    assert await people.identities.grants() == []


async def test_anonymous_is_let_in_from_the_given_network_only(people):
    await people.acting("olga").create_grant(
        subject_kind="anonymous", subject=None, role="read", repository="pypi/acme/tools", cidr="10.0.0.0/8"
    )
    nobody = people.accounts()

    def reads(address: str) -> bool:
        actor = type(nobody.actor)(ActorKind.ANONYMOUS, 0, "anonymous", address=address)
        return access.decide(people.identities.rights(actor), actor, TOOLS, "widget", READ, now=people.clock.now)

    assert reads("10.4.5.6")
    assert not reads(OUTSIDE)
    assert not reads("")


async def test_nobody_manages_nothing(people):
    nobody = people.accounts()

    for attempt in (
        nobody.tokens(),
        nobody.revoke_token(1),
        nobody.users(),
        nobody.organisations(),
        nobody.members("acme"),
        nobody.set_member("acme", "eve", "owner"),
        nobody.grants(),
        nobody.create_grant(subject_kind="anonymous", subject=None, role="read", repository="*"),
        nobody.delete_grant(1),
        nobody.change_password("x", "y"),
    ):
        with pytest.raises(GatewayError) as caught:
            await attempt
        assert isinstance(caught.value, Unauthenticated)
