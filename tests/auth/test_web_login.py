"""Command-line logins through the browser: what each of the two secrets can and cannot do."""

import pytest

from gateway.auth import tokens
from gateway.auth.web_login import WebLogins
from gateway.errors import Forbidden, Unknown
from gateway.model import Actor, ActorKind, Scope, TokenLimits
from gateway.store.audit import Audit
from gateway.store.database import Database
from gateway.store.identities import Identities


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def identities(tmp_path):
    database = Database(tmp_path / "catalogue.sqlite")
    database.migrate()
    yield Identities(database)
    database.close()


@pytest.fixture
def logins(identities, clock):
    return WebLogins(identities, Audit(identities._database), clock)


@pytest.fixture
async def ann(identities):
    row = await identities.create_actor(ActorKind.USER, "ann")
    return Actor(row.kind, row.id, row.name)


async def test_an_approved_login_hands_its_token_out_once(logins, identities, ann):
    started = await logins.start("laptop", "192.0.2.7")
    assert logins.pending(started.link).client == "laptop"
    assert await logins.poll(started.poll) is None

    await logins.approve(started.link, ann)
    token = await logins.poll(started.poll)

    row, actor = identities.token_by_sha256(tokens.sha256(token))
    assert (actor.name, row.name) == ("ann", "login from laptop")
    assert row.scopes == {Scope.READ, Scope.WRITE, Scope.DELETE}
    with pytest.raises(Unknown):
        await logins.poll(started.poll)
    with pytest.raises(Unknown):
        logins.pending(started.link)


async def test_the_link_cannot_collect_and_the_poll_secret_cannot_approve(logins, ann):
    started = await logins.start("laptop", "192.0.2.7")

    with pytest.raises(Unknown):
        await logins.poll(started.link)
    with pytest.raises(Unknown):
        await logins.approve(started.poll, ann)
    assert await logins.poll(started.poll) is None


async def test_a_token_or_nobody_cannot_approve(logins, ann):
    started = await logins.start("laptop", "192.0.2.7")
    with_token = Actor(ann.kind, ann.id, ann.name, token=TokenLimits(1, frozenset({Scope.ADMIN})))

    for actor in (with_token, Actor(ActorKind.ANONYMOUS, 0, "anonymous")):
        with pytest.raises(Forbidden):
            await logins.approve(started.link, actor)
    assert await logins.poll(started.poll) is None


async def test_a_login_ends_after_ten_minutes(logins, clock, ann):
    started = await logins.start("laptop", "192.0.2.7")
    clock.now += 601

    with pytest.raises(Unknown):
        await logins.approve(started.link, ann)
    with pytest.raises(Unknown):
        await logins.poll(started.poll)


async def test_a_user_who_was_disabled_meanwhile_gets_no_token(logins, identities, ann):
    started = await logins.start("laptop", "192.0.2.7")
    await logins.approve(started.link, ann)
    await identities.update_actor(ann.id, {"is_disabled": True})

    with pytest.raises(Unknown):
        await logins.poll(started.poll)
    assert await identities.tokens() == []


async def test_neither_secret_is_in_the_catalogue(logins, tmp_path):
    started = await logins.start("laptop", "192.0.2.7")

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert started.link.encode() not in stored
    assert started.poll.encode() not in stored
