"""Login, tokens, owners, teams and organisations over HTTP (npm.md §20, items 28 to 32)."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.auth import passwords
from gateway.auth.web_login import LOGIN_PATH, WebLogins
from gateway.config import LogConfig
from gateway.model import Actor, ActorKind, Scope
from tests.conftest import StartGateway, public
from tests.npm.conftest import ALL, Registry


async def _with_password(registry: Registry, name: str = "ada") -> None:
    identities = registry.gateway.services.identities
    made = await identities.create_actor(
        ActorKind.USER, name, password_hash=await passwords.hash("correct horse battery"), is_admin=True
    )
    registry.gateway.users[name] = made.id


async def test_whoami_tells_a_name_or_401(registry: Registry, token: str) -> None:
    assert json.loads((await registry.get("-/whoami", token)).body) == {"username": "ada"}
    assert (await registry.get("-/whoami")).status == 401
    assert (await registry.get("-/whoami", "garbage")).status == 401


async def test_a_web_login_waits_for_approval_and_gives_one_token(registry: Registry) -> None:
    await _with_password(registry)
    services = registry.gateway.services
    started = json.loads((await registry.send("POST", "-/v1/login", None, {"hostname": "laptop"})).body)
    poll = started["doneUrl"].removeprefix(registry.base)
    waiting = await registry.get(poll)
    link = started["loginUrl"].removeprefix(registry.gateway.url + LOGIN_PATH)
    person = Actor(ActorKind.USER, registry.gateway.users["ada"], "ada", is_admin=True)
    await WebLogins(services.identities, services.audit).approve(link, person)

    given = json.loads((await registry.get(poll)).body)["token"]

    assert (waiting.status, waiting.headers["Retry-After"]) == (202, "2")
    assert json.loads((await registry.get("-/whoami", given)).body) == {"username": "ada"}
    assert (await registry.get(poll)).status == 404


async def test_a_legacy_login_takes_a_password_and_gives_a_fresh_token(registry: Registry) -> None:
    await _with_password(registry)
    body = {"_id": "org.couchdb.user:ada", "name": "ada", "password": "correct horse battery", "type": "user"}

    reply = await registry.send("PUT", "-/user/org.couchdb.user:ada", None, body)
    wrong = await registry.send("PUT", "-/user/org.couchdb.user:ada", None, body | {"password": "wrong"})
    other = await registry.send("PUT", "-/user/org.couchdb.user:eve", None, body)

    answer = json.loads(reply.body)
    assert (reply.status, wrong.status, other.status) == (201, 401, 400)
    assert answer["id"] == "org.couchdb.user:ada"
    assert json.loads((await registry.get("-/whoami", answer["token"])).body) == {"username": "ada"}


async def test_a_token_as_password_gives_a_token_that_can_do_no_more(registry: Registry) -> None:
    narrow = await registry.gateway.token(scopes=(Scope.READ, Scope.WRITE), packages=("@acme/lib",))
    body = {"name": "ada", "password": narrow}

    fresh = json.loads((await registry.send("PUT", "-/user/org.couchdb.user:ada", None, body)).body)["token"]

    assert fresh != narrow
    assert (await registry.publish("@acme/lib", "1.0.0", fresh))[0].status == 201
    assert (await registry.publish("@acme/other", "1.0.0", fresh))[0].status == 403
    rev = (await registry.document("@acme/lib", fresh))["_rev"]
    assert (await registry.send("DELETE", f"@acme%2flib/-rev/{rev}", fresh)).status == 403


@pytest.mark.parametrize("body", [{}, {"name": "ada"}, {"name": "ada", "password": 5}, [], "x"])
async def test_a_login_without_name_and_password_is_refused(registry: Registry, body: object) -> None:
    assert (await registry.send("PUT", "-/user/org.couchdb.user:ada", None, body)).status == 400


async def test_logout_ends_the_token(registry: Registry, token: str) -> None:
    reply = await registry.send("DELETE", f"-/user/token/{token}", token)

    assert reply.status == 200
    assert (await registry.get("-/whoami", token)).status == 401


async def test_the_token_that_ends_is_in_no_log(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    monkeypatch.setattr("tests.conftest.LogConfig", lambda **_: LogConfig(access=str(log)))
    gateway = await start_gateway({"npm": {"acme/widgets": public()}})
    token = await gateway.token()

    await gateway.request("DELETE", f"npm/acme/widgets/-/user/token/{token}", token)
    await gateway.request("DELETE", f"npm/acme/widgets/-/user/token/{token}", token)
    async with asyncio.timeout(30):
        while not log.exists() or log.read_text().count("/-/user/token/") < 2:  # noqa: ASYNC110 a thread writes it
            await asyncio.sleep(0.01)

    assert [json.loads(line)["status"] for line in log.read_text().splitlines()] == [200, 401]
    assert token.removeprefix("ent_") not in log.read_text()


async def test_tokens_are_made_listed_and_revoked(registry: Registry, token: str) -> None:
    made = await registry.send("POST", "-/npm/v1/tokens", token, {"name": "ci", "readonly": True, "cidr_whitelist": []})
    answer = json.loads(made.body)
    listed = json.loads((await registry.get("-/npm/v1/tokens", token)).body)
    refused, _ = await registry.publish("@acme/lib", "1.0.0", answer["token"])
    revoked = await registry.send("DELETE", f"-/npm/v1/tokens/token/{answer['key']}", token)

    row = next(one for one in listed["objects"] if one["name"] == "ci")
    assert made.status == 201
    assert answer["token"].startswith("ent_")
    assert row["key"] == answer["key"]
    assert row["readonly"] is True
    assert answer["token"] not in json.dumps(listed)
    assert listed["urls"] == {}
    assert refused.status == 403
    assert revoked.status == 200
    assert (await registry.get("-/whoami", answer["token"])).status == 401


async def test_a_fine_grained_token_is_as_narrow_as_it_was_asked_for(registry: Registry, token: str) -> None:
    asked = {"name": "x", "scopes": ["@acme"], "packages_and_scopes_permission": "read-write", "expires": 7}

    made = json.loads((await registry.send("POST", "-/npm/v1/tokens", token, asked)).body)

    assert made["packages"] == ["@acme/*"]
    assert made["expires"] is not None
    assert (await registry.publish("@acme/lib", "1.0.0", made["token"]))[0].status == 201
    assert (await registry.publish("other", "1.0.0", made["token"]))[0].status == 403


@pytest.mark.parametrize(
    "asked",
    [
        {"packages_and_scopes_permission": "no-access"},
        {"packages_and_scopes_permission": "read-write-stage-only"},
        {"expires": "soon"},
        {"expires": -1},
        {"cidr_whitelist": ["nonsense"]},
        {"packages": "x"},
    ],
)
async def test_a_token_that_cannot_be_meant_is_refused(registry: Registry, token: str, asked: dict) -> None:
    assert (await registry.send("POST", "-/npm/v1/tokens", token, asked)).status == 400


async def test_who_has_a_password_needs_it_to_make_a_token(registry: Registry) -> None:
    await _with_password(registry)
    token = await registry.gateway.token()

    without = await registry.send("POST", "-/npm/v1/tokens", token, {})
    wrong = await registry.send("POST", "-/npm/v1/tokens", token, {"password": "wrong"})
    right = await registry.send("POST", "-/npm/v1/tokens", token, {"password": "correct horse battery"})

    assert (without.status, wrong.status, right.status) == (400, 401, 201)


async def test_the_profile_is_shown(registry: Registry, token: str) -> None:
    shown = json.loads((await registry.get("-/npm/v1/user", token)).body)

    assert shown["name"] == "ada"
    assert {"tfa", "email", "email_verified", "created", "updated", "cidr_whitelist", "fullname"} <= set(shown)
    assert (await registry.get("-/npm/v1/user")).status == 401
    assert (await registry.send("POST", "-/npm/v1/user", token, {"email": "x@y.example"})).status == 403


async def test_an_owner_is_added_and_may_publish_then_removed_and_may_not(registry: Registry, admin: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", admin)
    eve = await registry.gateway.token("eve", is_admin=False)
    person = json.loads((await registry.get("-/user/org.couchdb.user:eve", admin)).body)
    document = await registry.document("@acme/lib", admin)
    owners = [*document["maintainers"], {"name": person["name"], "email": person["email"]}]
    path = f"@acme%2flib/-rev/{document['_rev']}"

    added = await registry.send(
        "PUT", path, admin, {"_id": "@acme/lib", "_rev": document["_rev"], "maintainers": owners}
    )
    published, _ = await registry.publish("@acme/lib", "1.1.0", eve)
    listed = json.loads((await registry.get("-/package/@acme%2flib/collaborators", admin)).body)
    document = await registry.document("@acme/lib", admin)
    path = f"@acme%2flib/-rev/{document['_rev']}"
    removed = await registry.send("PUT", path, admin, {"_id": "@acme/lib", "maintainers": [{"name": "root"}]})
    refused, _ = await registry.publish("@acme/lib", "1.2.0", eve)

    assert person["name"] == "eve"
    assert (added.status, published.status, removed.status, refused.status) == (201, 201, 201, 403)
    assert listed == {"root": "write", "eve": "write"}
    assert (await registry.document("@acme/lib"))["maintainers"] == [{"name": "root"}]


async def test_an_owner_cannot_be_added_by_who_may_only_write(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)
    await registry.gateway.user("eve")
    document = await registry.document("@acme/lib", token)
    owners = {"_id": "@acme/lib", "maintainers": [{"name": "ada"}, {"name": "eve"}]}

    reply = await registry.send("PUT", f"@acme%2flib/-rev/{document['_rev']}", token, owners)

    assert reply.status == 403
    assert (await registry.document("@acme/lib"))["maintainers"] == [{"name": "ada"}]


async def test_people_are_looked_up_by_who_signed_in(registry: Registry, token: str) -> None:
    assert (await registry.get("-/user/org.couchdb.user:ada")).status == 401
    assert (await registry.get("-/user/org.couchdb.user:nobody", token)).status == 404


async def test_organisations_and_teams_are_run_by_their_owners(registry: Registry, admin: str) -> None:
    await registry.gateway.services.identities.create_organisation("acme", registry.gateway.users["root"])
    eve = await registry.gateway.token("eve", ALL, is_admin=False)
    member = await registry.send("PUT", "-/org/acme/user", admin, {"user": "eve", "role": "developer"})
    members = json.loads((await registry.get("-/org/acme/user", eve)).body)
    made = await registry.send("PUT", "-/org/acme/team", admin, {"name": "devs", "description": ""})
    joined = await registry.send("PUT", "-/team/acme/devs/user", admin, {"user": "eve"})
    teams = json.loads((await registry.get("-/org/acme/team?format=cli", eve)).body)
    inside = json.loads((await registry.get("-/team/acme/devs/user?format=cli", eve)).body)
    refused = await registry.send("PUT", "-/org/acme/user", eve, {"user": "eve", "role": "owner"})
    odd = await registry.send("PUT", "-/org/acme/user", admin, {"user": "eve", "role": "admin"})
    left = await registry.send("DELETE", "-/team/acme/devs/user", admin, {"user": "eve"})
    gone = await registry.send("DELETE", "-/team/acme/devs", admin)
    out = await registry.send("DELETE", "-/org/acme/user", admin, {"user": "eve"})

    assert json.loads(member.body) == {"org": {"name": "acme", "size": 2}, "user": "eve", "role": "developer"}
    assert members == {"eve": "developer", "root": "owner"}
    assert (teams, inside) == (["acme:devs"], ["eve"])
    assert [made.status, joined.status, left.status, gone.status, out.status] == [201, 201, 200, 200, 200]
    assert (refused.status, odd.status) == (403, 400)
    assert (await registry.get("-/org/acme/user", eve)).status == 403


async def test_a_teams_grant_lets_its_members_publish(registry: Registry, admin: str) -> None:
    await registry.gateway.services.identities.create_organisation("makers", registry.gateway.users["root"])
    eve = await registry.gateway.token("eve", is_admin=False)
    await registry.publish("@acme/lib", "1.0.0", admin)
    await registry.send("PUT", "-/org/makers/team", admin, {"name": "devs"})
    await registry.send("PUT", "-/team/makers/devs/user", admin, {"user": "eve"})
    path = "-/team/makers/devs/package"

    granted = await registry.send("PUT", path, admin, {"package": "@acme/lib", "permissions": "read-write"})
    listed = json.loads((await registry.get(path, admin)).body)
    published, _ = await registry.publish("@acme/lib", "1.1.0", eve)
    narrowed = await registry.send("PUT", path, admin, {"package": "@acme/lib", "permissions": "read-only"})
    refused, _ = await registry.publish("@acme/lib", "1.2.0", eve)
    revoked = await registry.send("DELETE", path, admin, {"package": "@acme/lib"})

    assert [granted.status, published.status, narrowed.status, refused.status, revoked.status] == [
        201,
        201,
        201,
        403,
        200,
    ]
    assert listed == {"@acme/lib": "write"}
    assert json.loads((await registry.get(path, admin)).body) == {}
    assert (await registry.send("DELETE", path, admin, {"package": "@acme/lib"})).status == 404


async def test_packages_are_listed_by_organisation_and_by_user(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)

    assert json.loads((await registry.get("-/org/acme/package", token)).body) == {"@acme/lib": "write"}
    assert json.loads((await registry.get("-/org/acme/package")).body) == {"@acme/lib": "read"}
    assert (await registry.get("-/org/ada/package", token)).status == 404
    assert json.loads((await registry.get("-/user/ada/package", token)).body) == {"@acme/lib": "write"}
    assert (await registry.get("-/user/eve/package", token)).status == 403
