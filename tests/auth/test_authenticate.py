import asyncio
import hmac
import inspect

import pytest

from gateway.auth import authenticate, claim, passwords, tokens
from gateway.auth.credential import Credential
from gateway.auth.sign_in import SignIn
from gateway.auth.throttle import Throttle
from gateway.errors import StoreTrouble, Throttled, Unauthenticated
from gateway.model import ActorKind, Scope
from gateway.web import sessions
from tests.auth.world import OUTSIDE, PASSWORD

INSIDE = "10.1.2.3"


async def minted(world, name="alice", **narrowing):
    narrowing.setdefault("scopes", {Scope.READ})
    return await world.acting(name).create_token(name="laptop", **narrowing)


async def test_no_credential_is_nobody(world):
    actor = await world.authenticator.actor(None, OUTSIDE)

    assert actor.is_anonymous
    assert actor.address == OUTSIDE


async def test_a_token_is_its_actor_with_its_limits(world):
    await world.user("alice")
    secret, row = await minted(world, packages=["acme-*"])

    actor = await world.authenticator.actor(Credential(secret, "whoever"), OUTSIDE)

    assert (actor.kind, actor.name, actor.is_admin, actor.address) == (ActorKind.USER, "alice", False, OUTSIDE)
    assert actor.token == row.limits()


@pytest.mark.parametrize("secret", ["", "x", tokens.PREFIX, tokens.mint(), tokens.mint()[:-1] + "?", "\udcff" * 40])
async def test_what_is_no_token_of_ours_is_refused(world, secret):
    with pytest.raises(Unauthenticated):
        await world.authenticator.actor(Credential(secret), OUTSIDE)


async def test_a_revoked_token_fails_at_the_next_request_of_every_worker(world):
    await world.user("alice")
    secret, row = await minted(world)
    other = world.another_worker()
    await world.authenticator.actor(Credential(secret), OUTSIDE)
    await other.actor(Credential(secret), OUTSIDE)

    await world.acting("alice").revoke_token(row.id)

    for worker in (world.authenticator, other):
        with pytest.raises(Unauthenticated):
            await worker.actor(Credential(secret), OUTSIDE)


async def test_an_expired_token_fails_although_it_is_in_the_memo(world):
    await world.user("alice")
    secret, _ = await minted(world, expires_at=world.clock.now + 10)
    await world.authenticator.actor(Credential(secret), OUTSIDE)

    world.clock.now += 10

    with pytest.raises(Unauthenticated, match="expired"):
        await world.authenticator.actor(Credential(secret), OUTSIDE)


async def test_a_token_works_from_its_networks_only(world):
    await world.user("alice")
    secret, _ = await minted(world, cidrs=["10.1.0.0/16"])

    assert (await world.authenticator.actor(Credential(secret), INSIDE)).name == "alice"
    for address in (OUTSIDE, "", "10.2.0.1"):
        with pytest.raises(Unauthenticated, match="address"):
            await world.authenticator.actor(Credential(secret), address)


async def test_a_disabled_account_has_no_tokens(world):
    await world.user("root", is_admin=True)
    await world.user("alice")
    secret, _ = await minted(world)
    await world.authenticator.actor(Credential(secret), OUTSIDE)

    await world.acting("root").update_actor(ActorKind.USER, "alice", is_disabled=True)

    with pytest.raises(Unauthenticated):
        await world.authenticator.actor(Credential(secret), OUTSIDE)


async def test_a_deleted_account_has_no_tokens(world):
    await world.user("root", is_admin=True)
    await world.user("alice")
    secret, _ = await minted(world)
    await world.authenticator.actor(Credential(secret), OUTSIDE)

    await world.acting("root").delete_actor(ActorKind.USER, "alice")

    with pytest.raises(Unauthenticated):
        await world.authenticator.actor(Credential(secret), OUTSIDE)


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_password_signs_in_with_all_rights_of_the_user(world):
    await world.user("alice", password=PASSWORD)

    actor = await world.authenticator.actor(Credential(PASSWORD, "alice"), OUTSIDE)

    assert (actor.name, actor.token) == ("alice", None)


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "wrong password"), ("bob", PASSWORD), ("Alice", PASSWORD), ("builder", PASSWORD), ("alice", "x" * 5000)],
)
async def test_a_wrong_password_or_name_is_the_same_refusal(world, name, password):
    await world.user("alice", password=PASSWORD)
    await world.service("builder")

    with pytest.raises(Unauthenticated, match="wrong user name or password"):
        await world.authenticator.actor(Credential(password, name), OUTSIDE)


async def test_an_unknown_user_costs_a_hash_like_a_known_one(world, monkeypatch):
    """So that the time to refuse does not tell who has an account."""
    await world.user("alice", password=PASSWORD)
    verified = []
    hasher = passwords._hasher

    class Watched:
        def hash(self, password):
            return hasher.hash(password)

        def verify(self, encoded, password):
            verified.append(encoded)
            return hasher.verify(encoded, password)

    monkeypatch.setattr(passwords, "_hasher", Watched())
    for name in ("alice", "nobody-of-that-name"):
        with pytest.raises(Unauthenticated):
            await world.authenticator.password_actor(name, "wrong password", OUTSIDE)

    assert len(verified) == 2


async def test_one_password_is_hashed_once_for_many_parallel_requests(world, monkeypatch):
    await world.user("alice", password=PASSWORD)
    verified = []
    verify = passwords.verify

    async def watched(encoded, password):
        verified.append(password)
        return await verify(encoded, password)

    monkeypatch.setattr(passwords, "verify", watched)
    credential = Credential(PASSWORD, "alice")
    await asyncio.gather(*(world.authenticator.actor(credential, OUTSIDE) for _ in range(50)))

    assert len(verified) == 1


async def test_a_changed_password_ends_the_old_one_at_once(world):
    await world.user("alice", password=PASSWORD)
    await world.authenticator.actor(Credential(PASSWORD, "alice"), OUTSIDE)

    await world.acting("alice").change_password(PASSWORD, "another good password")

    with pytest.raises(Unauthenticated):
        await world.authenticator.actor(Credential(PASSWORD, "alice"), OUTSIDE)
    assert await world.authenticator.actor(Credential("another good password", "alice"), OUTSIDE)


async def test_a_mistyped_token_is_not_tried_as_a_password(world, monkeypatch):
    monkeypatch.setattr(passwords, "verify", None)

    for credential in (Credential("ent_typo", "alice"), Credential("pypi-abc", "__token__"), Credential("key", "")):
        with pytest.raises(Unauthenticated):
            await world.authenticator.actor(credential, OUTSIDE)


async def test_a_flood_of_sign_ins_is_told_to_come_back(monkeypatch):
    monkeypatch.setattr(passwords, "MAX_WAITING", 0)

    with pytest.raises(Throttled):
        await passwords.verify(None, "whatever it is")


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_too_many_failures_are_told_to_wait(world):
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await world.authenticator.actor(Credential(tokens.mint()), OUTSIDE)
    world.timer.now += 10

    with pytest.raises(Throttled) as caught:
        await world.authenticator.actor(Credential(tokens.mint()), OUTSIDE)
    assert caught.value.retry_after == 50

    world.timer.now += 50
    with pytest.raises(Unauthenticated):
        await world.authenticator.actor(Credential(tokens.mint()), OUTSIDE)


async def test_a_throttled_address_cannot_try_passwords(world, monkeypatch):
    await world.user("alice", password=PASSWORD)
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await world.authenticator.actor(Credential("wrong password", "alice"), OUTSIDE)

    monkeypatch.setattr(passwords, "verify", None)
    with pytest.raises(Throttled):
        await world.authenticator.actor(Credential(PASSWORD, "alice"), OUTSIDE)


async def test_a_good_token_works_from_a_throttled_address(world):
    await world.user("alice")
    secret, _ = await minted(world)
    for _ in range(30):
        with pytest.raises((Unauthenticated, Throttled)):
            await world.authenticator.actor(Credential("bad"), OUTSIDE)

    assert (await world.authenticator.actor(Credential(secret), OUTSIDE)).name == "alice"


async def test_another_address_is_not_throttled(world):
    for _ in range(30):
        with pytest.raises((Unauthenticated, Throttled)):
            await world.authenticator.actor(Credential("bad"), OUTSIDE)

    with pytest.raises(Unauthenticated):
        await world.authenticator.actor(Credential("bad"), "203.0.113.10")


async def test_ten_thousand_bad_tokens_leave_nothing_in_memory(world):
    for _ in range(10_000):
        with pytest.raises((Unauthenticated, Throttled)):
            world.authenticator.token_actor(tokens.mint(), OUTSIDE)

    assert len(world.authenticator._known) == 0
    assert len(world.authenticator.throttle) == 1
    assert not world.authenticator._used


def test_the_table_of_failing_addresses_is_bounded():
    throttle = Throttle(3, 60.0)

    for number in range(30_000):
        throttle.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        throttle.note(f"not an address {number}")

    assert len(throttle) == 10_000


def test_an_ipv6_client_is_its_network():
    throttle = Throttle(2, 60.0)

    throttle.note("2001:db8:0:1::1")
    throttle.note("2001:db8:0:1::2")

    with pytest.raises(Throttled):
        throttle.check("2001:db8:0:1:ffff::3")
    throttle.check("2001:db8:0:2::1")


def test_secrets_are_compared_by_their_hash_or_in_constant_time():
    """Nothing compares a secret with `==`: look-ups go by sha256, the rest through compare_digest."""
    assert "secret ==" not in inspect.getsource(authenticate) + inspect.getsource(claim)
    assert f"{hmac.__name__}.compare_digest" in inspect.getsource(sessions)


# ── last use ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_last_use_is_written_in_batches_and_revokes_nothing(world):
    await world.user("alice")
    secret, row = await minted(world)
    epoch = world.database.epoch("auth")
    for _ in range(5):
        await world.authenticator.actor(Credential(secret), OUTSIDE)
        world.clock.now += 1
    assert (await world.identities.tokens())[0].last_used_at is None

    await world.authenticator.flush()
    await world.authenticator.flush()

    assert [(t.id, t.last_used_at) for t in await world.identities.tokens()] == [(row.id, world.clock.now - 1)]
    assert world.database.epoch("auth") == epoch


async def test_last_use_that_could_not_be_written_is_written_later(world, monkeypatch):
    await world.user("alice")
    secret, _ = await minted(world)
    await world.authenticator.actor(Credential(secret), OUTSIDE)

    async def full(used):
        raise StoreTrouble("disk full")

    with monkeypatch.context() as context:
        context.setattr(world.identities, "touch_tokens", full)
        with pytest.raises(StoreTrouble):
            await world.authenticator.flush()
    await world.authenticator.flush()

    assert (await world.identities.tokens())[0].last_used_at == world.clock.now


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────
def sign_in(world) -> SignIn:
    return SignIn(world.authenticator, world.identities, world.audit, 3600.0, world.clock)


async def test_a_session_lasts_until_it_ends(world):
    await world.user("alice", password=PASSWORD)
    secret = await sign_in(world).sign_in("alice", PASSWORD, OUTSIDE)

    actor = world.authenticator.session_actor(secret, INSIDE)
    assert (actor.name, actor.token, actor.address) == ("alice", None, INSIDE)

    world.clock.now += 3600
    assert world.authenticator.session_actor(secret, OUTSIDE) is None


async def test_signing_out_ends_the_session(world):
    await world.user("alice", password=PASSWORD)
    secret = await sign_in(world).sign_in("alice", PASSWORD, OUTSIDE)

    await sign_in(world).sign_out(secret)

    assert world.authenticator.session_actor(secret, OUTSIDE) is None


async def test_a_disabled_user_and_a_changed_password_end_the_sessions(world):
    await world.user("root", is_admin=True)
    await world.user("alice", password=PASSWORD)
    first = await sign_in(world).sign_in("alice", PASSWORD, OUTSIDE)
    await world.acting("alice").change_password(PASSWORD, "another good password")
    assert world.authenticator.session_actor(first, OUTSIDE) is None

    second = await sign_in(world).sign_in("alice", "another good password", OUTSIDE)
    await world.acting("root").update_actor(ActorKind.USER, "alice", is_disabled=True)
    assert world.authenticator.session_actor(second, OUTSIDE) is None


async def test_a_session_secret_is_no_token_and_a_token_no_session(world):
    await world.user("alice", password=PASSWORD)
    session = await sign_in(world).sign_in("alice", PASSWORD, OUTSIDE)
    token, _ = await minted(world)

    assert world.authenticator.session_actor(token, OUTSIDE) is None
    with pytest.raises(Unauthenticated):
        world.authenticator.token_actor(session, OUTSIDE)
