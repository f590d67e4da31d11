"""One-time codes: what a second factor takes away from a token and a password, and what gives it back."""

import asyncio
import inspect

import pytest
from msgspec.structs import replace
from pyotp import TOTP

from gateway.auth import codes, passes, tokens
from gateway.auth.access import decide, is_proved
from gateway.auth.accounts import Accounts
from gateway.auth.credential import Credential
from gateway.auth.sign_in import SignIn
from gateway.auth.web_login import WebLogins
from gateway.errors import CodeRequired, Conflict, Forbidden, Invalid, Throttled, Unauthenticated
from gateway.model import ActorKind, Assurance, Repository, RepositoryKey, Scope
from gateway.store.rows import Rights
from tests.auth.world import OUTSIDE, PASSWORD

INSIDE = "10.1.2.3"
ALL = [Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN]
REPOSITORY = Repository(1, RepositoryKey("pypi", "ann", "tools"))


class Person:
    """Somebody with a second factor, and an authenticator at hand."""

    def __init__(self, world, row, secret):
        self.world, self.row, self.secret = world, row, secret

    def code(self, steps=0):
        return TOTP(self.secret).generate_otp(int(self.world.clock.now) // 30 + steps)

    async def token(self, *scopes, **limits):
        secret = tokens.mint()
        await self.world.identities.create_token(
            self.row.id,
            sha256=tokens.sha256(secret),
            hint="ent_",
            name="laptop",
            scopes=scopes or ALL,
            **limits,
        )
        return Credential(secret)

    async def signed_in(self, code=None):
        """The actor of a dashboard session that began with a code."""
        world = self.world
        sign_in = SignIn(world.authenticator, world.identities, world.audit, 3600, world.clock)
        secret = await sign_in.sign_in("ann", PASSWORD, OUTSIDE, self.code() if code is None else code)
        world.clock.now += 60
        return world.authenticator.session_actor(secret, OUTSIDE)


@pytest.fixture
async def ann(world):
    row = await world.user("ann", password=PASSWORD, is_admin=True)
    secret = codes.new_secret()
    await world.identities.put_code_secret(row.id, secret)
    return Person(world, row, secret)


def may(actor):
    return {scope for scope in Scope if decide(Rights(), actor, REPOSITORY, "demo", scope, now=0.0)}


# ── what a token may ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_token_alone_reads_and_with_a_code_does_what_its_scopes_say(world, ann):
    credential = await ann.token()

    alone = await world.authenticator.actor(credential, OUTSIDE)
    with_code = await world.authenticator.actor(credential, OUTSIDE, code=ann.code())

    assert may(alone) == {Scope.READ}
    assert may(with_code) == set(Scope)


async def test_an_automation_token_publishes_without_a_code_and_never_administers(world, ann):
    credential = await ann.token(Scope.WRITE, Scope.DELETE, is_automation=True)

    actor = await world.authenticator.actor(credential, OUTSIDE)

    assert may(actor) == {Scope.READ, Scope.WRITE, Scope.DELETE}
    assert not is_proved(actor, Scope.ADMIN)
    with pytest.raises(CodeRequired):
        await world.accounts(actor).create_token(name="more", scopes=[Scope.WRITE])


async def test_an_account_without_codes_does_not_change(world):
    row = await world.user("bob")
    credential = await Person(world, row, "").token()

    actor = await world.authenticator.actor(credential, OUTSIDE, code="123456")

    assert actor.assurance is Assurance.UNASKED


async def test_codes_count_from_the_next_request_of_every_worker(world):
    ann = Person(world, await world.user("ann"), codes.new_secret())
    credential, other = await ann.token(), world.another_worker()
    assert may(await other.actor(credential, OUTSIDE)) == set(Scope)

    await world.identities.put_code_secret(ann.row.id, ann.secret)
    assert may(await other.actor(credential, OUTSIDE)) == {Scope.READ}

    await world.identities.delete_code_secret(ann.row.id)
    assert may(await other.actor(credential, OUTSIDE)) == set(Scope)


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_code_is_good_for_its_step_and_those_beside_it(world, ann, steps, is_good):
    credential, code = await ann.token(), ann.code(steps)

    if is_good:
        actor = await world.authenticator.actor(credential, OUTSIDE, code=code)
        assert actor.assurance is Assurance.CODE
    else:
        with pytest.raises(CodeRequired):
            await world.authenticator.actor(credential, OUTSIDE, code=code)


@pytest.mark.parametrize("code", ["x", "12345", "1234567", "١٢٣٤٥٦", "-00001", "\udcff", "0" * 5000])
async def test_what_is_no_code_is_refused(world, ann, code):
    with pytest.raises(CodeRequired):
        await world.authenticator.actor(await ann.token(), OUTSIDE, code=code)


async def test_a_code_that_somebody_overheard_is_no_good_with_another_token_or_from_elsewhere(world, ann):
    mine, theirs, code = await ann.token(), await ann.token(), ann.code()
    await world.authenticator.actor(mine, OUTSIDE, code=code)

    for credential, address in ((theirs, OUTSIDE), (mine, INSIDE), (Credential(PASSWORD, "ann"), OUTSIDE)):
        with pytest.raises(CodeRequired, match="second time"):
            await world.another_worker().actor(credential, address, code=code)


async def test_the_code_before_the_accepted_one_is_dead(world, ann):
    credential, before = await ann.token(), ann.code(-1)
    await world.authenticator.actor(credential, OUTSIDE, code=ann.code())

    with pytest.raises(CodeRequired):
        await world.authenticator.actor(credential, OUTSIDE, code=before)


async def test_a_client_may_write_twice_with_one_code_and_get_no_credential_for_it(world, ann):
    credential, code = await ann.token(), ann.code()
    await world.authenticator.actor(credential, OUTSIDE, code=code)

    again = await world.another_worker().actor(credential, OUTSIDE, code=code)

    assert may(again) == {Scope.READ, Scope.WRITE, Scope.DELETE}
    with pytest.raises(CodeRequired):
        await world.accounts(again).create_token(name="more", scopes=[Scope.READ])
    with pytest.raises(CodeRequired):
        await world.accounts(again).create_user("mallory", password=PASSWORD)
    world.clock.now += 120
    with pytest.raises(CodeRequired):
        await world.authenticator.actor(credential, OUTSIDE, code=code)


async def test_of_many_who_bring_a_password_and_one_code_at_once_one_gets_in(world, ann):
    code = ann.code()
    attempts = [world.authenticator.actor(Credential(PASSWORD, "ann"), OUTSIDE, code=code) for _ in range(8)]

    found = await asyncio.gather(*attempts, return_exceptions=True)

    assert sum(not isinstance(one, Exception) for one in found) == 1


async def test_a_request_that_changes_nothing_uses_no_code_up(world, ann):
    credential, code = await ann.token(), ann.code()

    await world.authenticator.actor(credential, OUTSIDE, code=code, is_change=False)
    actor = await world.authenticator.actor(credential, OUTSIDE, code=code)

    assert actor.assurance is Assurance.CODE


async def test_wrong_codes_are_throttled_by_address_and_audited(world, ann):
    worker, credential = world.another_worker(max_failures=3, failure_window=60), await ann.token()
    for _ in range(3):
        with pytest.raises(CodeRequired):
            await worker.actor(credential, OUTSIDE, code="000000x")

    with pytest.raises(Throttled):
        await worker.actor(credential, OUTSIDE, code=ann.code())
    assert may(await worker.actor(credential, OUTSIDE)) == {Scope.READ}
    assert (await world.audited()).count("code.refused") == 3


async def test_wrong_codes_from_many_addresses_are_throttled_by_account(world, ann):
    worker, credential = world.another_worker(max_failures=3, failure_window=60), await ann.token()
    for number in range(3):
        with pytest.raises(CodeRequired):
            await worker.actor(credential, f"198.51.100.{number}", code="12345x")

    with pytest.raises(Throttled):
        await worker.actor(credential, OUTSIDE, code=ann.code())

    world.timer.now += 61
    with pytest.raises(Throttled):  # three codes in a million are good at a time: that window is an hour
        await worker.actor(credential, OUTSIDE, code=ann.code())
    world.timer.now += 3600
    assert (await worker.actor(credential, OUTSIDE, code=ann.code())).assurance is Assurance.CODE


# ── every way to a credential ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("is_change", [False, True])
async def test_a_password_alone_is_nothing_even_to_read(world, ann, is_change):
    with pytest.raises(CodeRequired):
        await world.authenticator.actor(Credential(PASSWORD, "ann"), OUTSIDE, is_change=is_change)


async def test_a_wrong_password_is_told_before_any_code_is_looked_at(world, ann):
    code = ann.code()
    with pytest.raises(Unauthenticated):
        await world.authenticator.actor(Credential("wrong password", "ann"), OUTSIDE, code=code)

    actor = await world.authenticator.actor(Credential(PASSWORD, "ann"), OUTSIDE, code=code)
    assert actor.assurance is Assurance.CODE


@pytest.mark.parametrize("code", ["", "000000"])
async def test_a_session_begins_with_a_code_only(world, ann, code):
    with pytest.raises(CodeRequired):
        await ann.signed_in(code)


async def test_a_session_that_began_without_a_code_ends_when_codes_begin(world):
    row = await world.user("ann", password=PASSWORD)
    sign_in = SignIn(world.authenticator, world.identities, world.audit, 3600, world.clock)
    secret = await sign_in.sign_in("ann", PASSWORD, OUTSIDE)
    assert world.authenticator.session_actor(secret, OUTSIDE) is not None

    await world.identities.put_code_secret(row.id, codes.new_secret())

    assert world.authenticator.session_actor(secret, OUTSIDE) is None


@pytest.mark.parametrize("limits", [{}, {"is_automation": True}])
async def test_a_token_makes_no_token_without_a_code(world, ann, limits):
    scopes = [Scope.WRITE] if limits else ALL
    credential = await ann.token(*scopes, **limits)
    alone = await world.authenticator.actor(credential, OUTSIDE)
    with pytest.raises(CodeRequired):
        await world.accounts(alone).create_token(name="more", scopes=[Scope.READ])

    proved = await world.authenticator.actor(credential, OUTSIDE, code=ann.code())
    secret, _ = await world.accounts(proved).create_token(name="more", scopes=[Scope.READ])
    assert tokens.is_well_formed(secret)


CHANGES = {
    "create_user": ("mallory",),
    "create_service": ("robot2",),
    "update_actor": (ActorKind.USER, "bob"),
    "delete_actor": (ActorKind.USER, "bob"),
    "create_organisation": ("evil",),
    "delete_organisation": ("acme",),
    "set_member": ("acme", "bob", "owner"),
    "remove_member": ("acme", "bob"),
    "create_team": ("acme", "devs"),
    "delete_team": ("acme", "ops"),
    "add_team_member": ("acme", "ops", "bob"),
    "remove_team_member": ("acme", "ops", "bob"),
    "delete_grant": (1,),
}
READS = {"users", "services", "tokens", "organisations", "members", "teams", "team_members", "grants"}
ELSEWHERE = {"note", "create_token", "create_grant", "change_password", "offer_codes", "begin_codes", "end_codes"}
REVOKING = {"revoke_token", "revoke_secret"}  # a leak is ended without a telephone


async def test_a_token_alone_changes_nobodys_account(world, ann):
    await world.user("bob")
    row = await world.organisation("acme", "ann", "bob")
    await world.identities.create_team(row.id, "ops")
    given = {"role": "write", "repository": "pypi/ann/tools"}
    await world.acting("ann").create_grant(subject_kind="user", subject="bob", **given)
    accounts = world.accounts(await world.authenticator.actor(await ann.token(), OUTSIDE))
    named = {name for name, one in inspect.getmembers(Accounts, inspect.iscoroutinefunction) if name[0] != "_"}

    assert named == CHANGES.keys() | READS | ELSEWHERE | REVOKING
    for name, arguments in CHANGES.items():
        with pytest.raises(CodeRequired):
            await getattr(accounts, name)(*arguments)
    with pytest.raises(CodeRequired):
        await accounts.create_grant(subject_kind="user", subject="ann", **given)


async def test_a_session_makes_tokens_and_needs_a_code_of_its_own_for_automation(world, ann):
    session = await ann.signed_in()
    await world.accounts(session).create_token(name="laptop", scopes=[Scope.WRITE])
    with pytest.raises(CodeRequired):
        await world.accounts(session).create_token(name="ci", scopes=[Scope.WRITE], is_automation=True)

    proved = await world.authenticator.prove(session, ann.code())
    _, row = await world.accounts(proved).create_token(name="ci", scopes=[Scope.WRITE], is_automation=True)

    assert row.is_automation
    with pytest.raises(Invalid):
        await world.accounts(proved).create_token(name="ci", scopes=[Scope.ADMIN], is_automation=True)


async def test_who_has_no_codes_has_no_automation_tokens(world):
    await world.user("bob")

    with pytest.raises(Invalid):
        await world.acting("bob").create_token(name="ci", scopes=[Scope.WRITE], is_automation=True)


async def test_a_client_is_let_in_through_a_session_only(world, ann):
    logins = WebLogins(world.identities, world.audit, world.clock)
    session = await ann.signed_in()
    started = await logins.start("laptop", OUTSIDE)
    with pytest.raises(Forbidden):
        await logins.approve(started.link, await world.authenticator.actor(await ann.token(), OUTSIDE))

    await logins.approve(started.link, session)
    actor = await world.authenticator.actor(Credential(await logins.poll(started.poll)), OUTSIDE)

    assert may(actor) == {Scope.READ}


async def test_a_pass_is_worth_what_its_token_is(world, ann):
    await passes.prepare_seals(passes.Settings(world.database))
    seals, ends = world.authenticator.passes, world.clock.now + 300
    credential = await ann.token()
    of_token = seals.seal(passes.Pass(passes.ACCESS, "x", ends, (), tokens.sha256(credential.secret)))
    of_password = seals.seal(passes.Pass(passes.ACCESS, "x", ends, (), "", ann.row.id, "ann"))

    actor = await world.authenticator.actor(Credential(of_token), OUTSIDE, "x")

    assert actor.assurance is Assurance.NONE
    with pytest.raises(Unauthenticated):  # got before codes began
        await world.authenticator.actor(Credential(of_password), OUTSIDE, "x")


# ── beginning and ending ─────────────────────────────────────────────────────────────────────────────────────────
async def test_codes_begin_with_a_first_code_which_is_used_up(world):
    row = await world.user("ann", password=PASSWORD)
    accounts = world.acting("ann")
    secret, address = await accounts.offer_codes()
    ann = Person(world, row, secret)
    with pytest.raises(CodeRequired):
        await accounts.begin_codes(secret, "000000" if ann.code() != "000000" else "000001")
    assert world.identities.code_secret(row.id) is None

    code = ann.code()
    await accounts.begin_codes(secret, code)

    assert address.startswith("otpauth://totp/Entrepot:ann?secret=")
    assert await world.audited() == ["code.enable"]
    with pytest.raises(CodeRequired):
        await world.authenticator.actor(await ann.token(), OUTSIDE, code=code)
    with pytest.raises(Conflict):
        await accounts.offer_codes()


@pytest.mark.parametrize("secret", ["", "A" * 16, "a" * 32, "1" * 32, "A" * 31 + "="])
async def test_a_secret_that_was_not_made_here_is_refused(world, secret):
    await world.user("ann")

    with pytest.raises(Invalid):
        await world.acting("ann").begin_codes(secret, "000000")


async def test_codes_end_with_a_last_one_and_not_with_a_token(world, ann):
    session = await ann.signed_in()
    with_token = await world.authenticator.actor(await ann.token(), OUTSIDE, code=ann.code())
    with pytest.raises(Forbidden):
        await world.accounts(with_token).end_codes()
    with pytest.raises(CodeRequired):
        await world.accounts(session).end_codes()
    world.clock.now += 60

    await world.accounts(await world.authenticator.prove(session, ann.code())).end_codes()

    assert world.identities.code_secret(ann.row.id) is None
    assert (await world.audited())[-1] == "code.disable"


async def test_a_stolen_token_begins_no_codes(world):
    await world.user("bob")
    limited = replace(world.acting("bob").actor, token=(await minted_limits(world)))

    with pytest.raises(Forbidden):
        await world.accounts(limited).offer_codes()


async def minted_limits(world):
    _, row = await world.acting("bob").create_token(name="laptop", scopes=ALL)
    return row.limits()
