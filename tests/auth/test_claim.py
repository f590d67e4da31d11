import asyncio
import stat

import pytest

from gateway.auth import tokens
from gateway.auth.claim import ensure_claim, redeem_claim
from gateway.auth.credential import Credential
from gateway.auth.sign_in import SignIn
from gateway.errors import AlreadyExists, Conflict, Forbidden, Invalid
from gateway.model import Scope
from tests.auth.world import OUTSIDE, PASSWORD


def secret_in(path) -> str:
    return path.read_text().strip().rpartition("/")[2]


async def test_the_first_start_leaves_a_link_that_only_its_owner_reads(world, tmp_path):
    path = await ensure_claim(tmp_path, world.identities, "https://pkg.example.com/")

    assert path == tmp_path / "claim"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("https://pkg.example.com/-/ui/claim/")
    assert secret_in(path).encode() not in world.database.path.read_bytes()
    assert [s.sha256 for s in await world.identities.sessions("claim")] == [tokens.sha256(secret_in(path))]


async def test_a_second_start_keeps_the_good_link_and_replaces_a_lost_one(world, tmp_path):
    path = await ensure_claim(tmp_path, world.identities, "http://a")
    first = path.read_text()
    await ensure_claim(tmp_path, world.identities, "http://a")
    assert path.read_text() == first

    path.unlink()
    await ensure_claim(tmp_path, world.identities, "http://a")

    assert path.read_text() != first
    assert len(await world.identities.sessions("claim")) == 1, "the lost link is not good any more"


async def test_a_claimed_installation_has_no_link(world, tmp_path):
    path = await ensure_claim(tmp_path, world.identities, "http://a")
    await world.user("root", is_admin=True)

    assert await ensure_claim(tmp_path, world.identities, "http://a") is None
    assert not path.exists()


async def test_a_link_planted_in_the_data_folder_is_not_followed(world, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / "claim").symlink_to(elsewhere)

    path = await ensure_claim(tmp_path, world.identities, "http://a")

    assert elsewhere.read_text() == "precious"
    assert not path.is_symlink()


async def test_redeeming_makes_an_administrator_once(world, tmp_path):
    path = await ensure_claim(tmp_path, world.identities, "http://a")
    secret = secret_in(path)

    token = await redeem_claim(world.identities, world.audit, secret, "root", PASSWORD, address=OUTSIDE)

    actor = await world.authenticator.actor(Credential(token), OUTSIDE)
    assert (actor.name, actor.is_admin, actor.token.scopes) == ("root", True, frozenset(Scope))
    assert (await world.authenticator.actor(Credential(PASSWORD, "root"), OUTSIDE)).is_admin
    assert await world.audited() == ["claim.redeem"]
    with pytest.raises(Forbidden):
        await redeem_claim(world.identities, world.audit, secret, "mallory", PASSWORD)


async def test_of_all_who_redeem_at_once_one_succeeds(world, tmp_path):
    secret = secret_in(await ensure_claim(tmp_path, world.identities, "http://a"))

    results = await asyncio.gather(
        *(redeem_claim(world.identities, world.audit, secret, f"user{n}", PASSWORD) for n in range(8)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, str) for result in results) == 1
    assert all(isinstance(result, str | Forbidden) for result in results)
    assert len(await world.identities.actors()) == 1


@pytest.mark.parametrize("secret", ["", "guess", "x" * 43])
async def test_a_guessed_secret_is_refused_before_anything_is_hashed(world, tmp_path, secret, monkeypatch):
    await ensure_claim(tmp_path, world.identities, "http://a")
    monkeypatch.setattr("gateway.auth.passwords.hash", None)

    with pytest.raises(Forbidden):
        await redeem_claim(world.identities, world.audit, secret, "mallory", PASSWORD)


@pytest.mark.parametrize(
    ("name", "password"), [("a/b", PASSWORD), ("anonymous", PASSWORD), ("root", "short"), ("taken", PASSWORD)]
)
async def test_a_mistake_does_not_use_up_the_link(world, tmp_path, name, password):
    await world.user("taken")
    secret = secret_in(await ensure_claim(tmp_path, world.identities, "http://a"))

    with pytest.raises((Invalid, AlreadyExists)):
        await redeem_claim(world.identities, world.audit, secret, name, password)

    assert await redeem_claim(world.identities, world.audit, secret, "root", PASSWORD)


async def test_a_link_is_not_good_once_somebody_administers(world, tmp_path):
    secret = secret_in(await ensure_claim(tmp_path, world.identities, "http://a"))
    await world.user("root", is_admin=True)

    with pytest.raises(Conflict):
        await redeem_claim(world.identities, world.audit, secret, "mallory", PASSWORD)
    assert len(await world.identities.actors()) == 1


async def test_another_kind_of_secret_is_no_claim(world, tmp_path):
    await world.user("alice", password=PASSWORD)
    session = await SignIn(world.authenticator, world.identities, world.audit, 3600).sign_in("alice", PASSWORD, OUTSIDE)

    with pytest.raises(Forbidden):
        await redeem_claim(world.identities, world.audit, session, "mallory", PASSWORD)
