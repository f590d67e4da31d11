import asyncio

import pytest

from gateway.errors import AlreadyExists, Invalid, Unknown
from gateway.model import Actor, ActorKind, Scope
from gateway.store.identities import Identities
from gateway.store.rows import MemberRow, Rights, SessionRow

ANONYMOUS = Actor(ActorKind.ANONYMOUS, 0, "anonymous")
SECRET = "a" * 64


def acting(row):
    return Actor(row.kind, row.id, row.name, row.is_admin)


@pytest.fixture
async def ann(identities):
    return await identities.create_actor(ActorKind.USER, "ann", email="ann@example.com", password_hash="argon")


@pytest.fixture
async def acme(identities):
    return await identities.create_organisation("acme")


async def give(identities, kind, id_=None, role="read", repository="pypi/acme/*", **more):
    return await identities.create_grant(
        subject_kind=kind, subject_id=id_, role=role, repository=repository, created_by="admin", **more
    )


async def test_an_actor_is_found_by_id_and_by_name(identities, ann):
    robot = await identities.create_actor(ActorKind.SERVICE, "robot", is_admin=True)

    assert identities.actor(ann.id) == identities.actor_by_name("ann") == ann
    assert (ann.kind, ann.email, ann.has_password, ann.is_admin) == (ActorKind.USER, "ann@example.com", True, False)
    assert (robot.kind, robot.has_password, robot.is_admin) == (ActorKind.SERVICE, False, True)
    assert await identities.actors() == [ann, robot]
    assert identities.actor(99) is None
    assert identities.actor_by_name("ANN") is None


async def test_the_hash_of_a_password_is_shown_only_where_it_is_asked_for(identities, ann):
    await identities.create_actor(ActorKind.SERVICE, "robot")

    assert identities.password_of("ann") == (ann, "argon")
    assert identities.password_of("robot") is None
    assert "argon" not in repr(ann)


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "..", "_", "Anonymous", "everyone", "x" * 101])
async def test_names_that_cannot_own_are_refused(identities, name):
    with pytest.raises(Invalid):
        await identities.create_actor(ActorKind.USER, name)
    with pytest.raises(Invalid):
        await identities.create_organisation(name)


@pytest.mark.parametrize("name", ["ann", "Ann", "acme", "ACME"])
async def test_nobody_takes_anothers_name_in_any_case(identities, ann, acme, name):
    """An actor named like an organisation would own its repositories."""
    with pytest.raises(AlreadyExists):
        await identities.create_actor(ActorKind.USER, name)
    with pytest.raises(AlreadyExists):
        await identities.create_organisation(name)


async def test_of_an_actor_and_an_organisation_at_once_one_gets_the_name(identities, elsewhere):
    outcomes = await asyncio.gather(
        identities.create_actor(ActorKind.USER, "acme"),
        Identities(elsewhere).create_organisation("acme"),
        return_exceptions=True,
    )

    assert sorted(isinstance(outcome, AlreadyExists) for outcome in outcomes) == [False, True]


async def test_an_actor_is_changed_and_disabled(identities, ann, database, elsewhere):
    before = elsewhere.epoch("auth")

    changed = await identities.update_actor(ann.id, {"is_disabled": True, "email": None, "password_hash": None})

    assert (changed.is_disabled, changed.email, changed.has_password) == (True, None, False)
    assert identities.actor(ann.id) == changed
    assert elsewhere.epoch("auth") > before
    with pytest.raises(Invalid):
        await identities.update_actor(ann.id, {"name": "root"})
    with pytest.raises(Unknown):
        await identities.update_actor(99, {"is_admin": True})


async def test_an_organisation_has_members_in_roles(identities, ann, acme):
    bob = await identities.create_actor(ActorKind.USER, "bob")
    await identities.set_member(acme.id, bob.id, "member")
    await identities.set_member(acme.id, ann.id, "member")

    await identities.set_member(acme.id, ann.id, "owner")

    assert await identities.members(acme.id) == [MemberRow(ann.id, "ann", "owner"), MemberRow(bob.id, "bob", "member")]
    assert identities.rights(acting(ann)).organisations == {"acme": "owner"}
    assert identities.organisation("acme") == acme
    assert await identities.organisations() == [acme]
    with pytest.raises(Invalid):
        await identities.set_member(acme.id, ann.id, "emperor")
    with pytest.raises(Unknown):
        await identities.set_member(acme.id, 99, "member")
    with pytest.raises(Unknown):
        await identities.create_organisation("other", owner_id=99)
    assert identities.organisation("other") is None


async def test_a_team_gives_its_members_what_it_was_given(identities, ann, acme):
    team = await identities.create_team(acme.id, "core")
    grant = await give(identities, "team", team.id, role="write")
    assert identities.rights(acting(ann)).grants == ()

    await identities.add_team_member(team.id, ann.id)

    assert identities.rights(acting(ann)) == Rights(False, {"acme": "member"}, frozenset({team.id}), (grant,))
    assert await identities.team_members(team.id) == [MemberRow(ann.id, "ann", "member")]
    assert identities.team("acme", "core") == team
    assert await identities.teams() == await identities.teams(acme.id) == [team]
    assert await identities.teams(acme.id + 1) == []
    with pytest.raises(AlreadyExists):
        await identities.create_team(acme.id, "Core")
    with pytest.raises(Unknown):
        await identities.create_team(99, "core")
    with pytest.raises(Unknown):
        await identities.add_team_member(team.id, 99)


async def test_who_leaves_an_organisation_leaves_its_teams(identities, ann, acme):
    team = await identities.create_team(acme.id, "core")
    await give(identities, "team", team.id)
    await identities.add_team_member(team.id, ann.id)

    assert await identities.remove_member(acme.id, ann.id)

    assert identities.rights(acting(ann)) == Rights()
    assert not await identities.remove_member(acme.id, ann.id)


async def test_who_leaves_a_team_stays_in_the_organisation(identities, ann, acme):
    team = await identities.create_team(acme.id, "core")
    await identities.add_team_member(team.id, ann.id)

    assert await identities.remove_team_member(team.id, ann.id)

    assert identities.rights(acting(ann)).teams == frozenset()
    assert identities.rights(acting(ann)).organisations == {"acme": "member"}


async def test_rights_hold_only_the_grants_that_apply(identities, ann):
    robot = await identities.create_actor(ActorKind.SERVICE, "robot", is_admin=True)
    everybody = await give(identities, "anonymous")
    signed_in = await give(identities, "everyone")
    anns = await give(identities, "user", ann.id, package="tool-*", cidr="10.0.0.0/8")
    robots = await give(identities, "service", robot.id, role="admin")

    assert identities.rights(ANONYMOUS) == Rights(grants=(everybody,))
    assert identities.rights(acting(ann)).grants == (everybody, signed_in, anns)
    assert identities.rights(acting(robot)) == Rights(is_admin=True, grants=(everybody, signed_in, robots))
    assert (anns.package, anns.cidr) == ("tool-*", "10.0.0.0/8")
    assert await identities.grants() == [everybody, signed_in, anns, robots]
    assert await identities.grants("user", ann.id) == [anns]
    assert await identities.grants("anonymous") == [everybody]


async def test_a_disabled_or_deleted_actor_has_no_rights(identities, ann):
    await give(identities, "anonymous")
    await give(identities, "user", ann.id, role="admin")

    await identities.update_actor(ann.id, {"is_disabled": True, "is_admin": True})
    assert identities.rights(acting(ann)) == Rights()
    await identities.delete_actor(ann.id)
    assert identities.rights(acting(ann)) == Rights()


async def test_a_new_actor_inherits_nothing_from_a_deleted_one_with_the_same_id(identities, ann, acme):
    """SQLite uses ids again: no grant, token, session or membership may wait for the next actor."""
    await give(identities, "user", ann.id, role="admin")
    await identities.set_member(acme.id, ann.id, "owner")
    await identities.create_token(ann.id, sha256=SECRET, hint="ent_a", name="t", scopes=[Scope.ADMIN])
    await identities.put_session(SessionRow("b" * 64, "web", ann.id, {}, 5000.0))

    assert await identities.delete_actor(ann.id)
    mallory = await identities.create_actor(ActorKind.USER, "mallory")

    assert mallory.id == ann.id
    assert identities.rights(acting(mallory)) == Rights()
    assert identities.rights(acting(ann)) == Rights()
    assert identities.token_by_sha256(SECRET) is None
    assert identities.session("b" * 64, now=0.0) is None
    assert not await identities.delete_actor(99)


async def test_a_new_team_inherits_nothing_from_a_deleted_one(identities, ann, acme):
    for delete in (
        lambda team: identities.delete_team(team.id),
        lambda team: identities.delete_organisation(team.organisation_id),
    ):
        organisation = await identities.create_organisation("other")
        team = await identities.create_team(organisation.id, "core")
        await give(identities, "team", team.id, role="admin")
        assert await delete(team)

        again = await identities.create_team(acme.id, "again")
        await identities.add_team_member(again.id, ann.id)

        assert again.id == team.id
        assert identities.rights(acting(ann)).grants == ()
        await identities.delete_team(again.id)
        await identities.delete_organisation(organisation.id)


async def test_a_grant_needs_a_subject_that_is_there(identities, ann):
    for kind, id_ in (("user", 99), ("service", ann.id), ("team", 1)):
        with pytest.raises(Unknown):
            await give(identities, kind, id_)
    for kind, id_, role in (
        ("user", None, "read"),
        ("anonymous", 1, "read"),
        ("group", 1, "read"),
        ("everyone", None, "god"),
    ):
        with pytest.raises(Invalid):
            await give(identities, kind, id_, role)


async def test_a_grant_taken_back_is_gone_everywhere_at_once(identities, ann, elsewhere):
    grant = await give(identities, "user", ann.id)
    there, before = Identities(elsewhere), elsewhere.epoch("auth")
    assert there.rights(acting(ann)).grants == (grant,)

    assert await identities.delete_grant(grant.id)

    assert elsewhere.epoch("auth") > before
    assert there.rights(acting(ann)).grants == ()
    assert not await identities.delete_grant(grant.id)


async def test_a_token_is_found_by_the_hash_of_its_secret_with_its_actor(identities, ann, database):
    token = await identities.create_token(
        ann.id,
        sha256=SECRET,
        hint="ent_abc",
        name="laptop",
        scopes={Scope.WRITE, Scope.READ},
        repositories=("pypi/acme/*",),
        packages=("tool-*",),
        cidrs=("10.0.0.0/8",),
        expires_at=5000.0,
    )

    assert identities.token_by_sha256(SECRET) == (token, ann)
    assert identities.token_by_sha256("b" * 64) is None
    limits = token.limits()
    assert (limits.id, limits.scopes, limits.expires_at) == (token.id, {Scope.READ, Scope.WRITE}, 5000.0)
    assert (limits.repositories, limits.packages, limits.cidrs) == (("pypi/acme/*",), ("tool-*",), ("10.0.0.0/8",))
    assert SECRET not in repr(token)
    assert await identities.tokens() == await identities.tokens(ann.id) == [token]
    assert await identities.tokens(ann.id + 1) == []
    with pytest.raises(AlreadyExists):
        await identities.create_token(ann.id, sha256=SECRET, hint="", name="", scopes=[])
    with pytest.raises(Unknown):
        await identities.create_token(99, sha256="b" * 64, hint="", name="", scopes=[])


async def test_a_revoked_token_is_unknown_elsewhere_by_the_next_call(identities, ann, elsewhere):
    token = await identities.create_token(ann.id, sha256=SECRET, hint="ent_abc", name="laptop", scopes=[Scope.READ])
    before = elsewhere.epoch("auth")
    assert not await identities.delete_token(token.id, actor_id=ann.id + 1)
    assert identities.token_by_sha256(SECRET) is not None

    assert await identities.delete_token(token.id, actor_id=ann.id)

    assert elsewhere.epoch("auth") > before
    assert Identities(elsewhere).token_by_sha256(SECRET) is None


async def test_using_a_token_forgets_no_verdict(identities, ann, database):
    token = await identities.create_token(ann.id, sha256=SECRET, hint="ent_abc", name="laptop", scopes=[Scope.READ])
    epoch = database.epoch("auth")

    await identities.touch_tokens({token.id: 1234.0, 99: 1.0})

    assert database.epoch("auth") == epoch
    assert identities.token_by_sha256(SECRET)[0].last_used_at == 1234.0


async def test_a_session_ends_in_time(identities, ann):
    row = SessionRow(SECRET, "web", ann.id, {"csrf": "x"}, 5000.0)
    await identities.put_session(row)

    assert identities.session(SECRET, now=4999.0) == row
    assert identities.session(SECRET, now=5000.0) is None
    assert await identities.expire_sessions(now=4999.0) == 0
    assert await identities.expire_sessions(now=5000.0) == 1
    assert identities.session(SECRET, now=0.0) is None
    with pytest.raises(Unknown):
        await identities.put_session(SessionRow(SECRET, "web", 99, {}, 5000.0))


async def test_a_session_is_changed_and_ended(identities, ann):
    await identities.put_session(SessionRow(SECRET, "login", None, {"state": "waiting"}, 5000.0))
    done = SessionRow(SECRET, "login", ann.id, {"state": "done"}, 5000.0)

    await identities.put_session(done)

    assert identities.session(SECRET, now=0.0) == done
    assert await identities.sessions("login") == [done]
    assert await identities.delete_session(SECRET)
    assert not await identities.delete_session(SECRET)
    await identities.put_session(done)
    assert await identities.delete_sessions_of(ann.id, "web") == 0
    assert await identities.delete_sessions_of(ann.id, "login") == 1


async def test_a_one_time_secret_is_given_to_one_of_all_who_ask(identities, elsewhere):
    row = SessionRow(SECRET, "claim", None, {}, 5000.0)
    await identities.put_session(row)
    assert await identities.take_session(SECRET, "web", now=0.0) is None
    assert await identities.take_session(SECRET, "claim", now=5000.0) is None

    there = Identities(elsewhere)
    taken = await asyncio.gather(*(who.take_session(SECRET, "claim", now=0.0) for who in (identities, there) * 3))

    assert sorted(taken, key=bool) == [None] * 5 + [row]
