"""The control API in process: the real stores, `dispatch` behind a bare server, errors as the mount renders them."""

import io
import json
from collections.abc import Mapping

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer, TestClient

from gateway.auth import tokens
from gateway.auth.claim import ensure_claim
from gateway.auth.sign_in import SignIn
from gateway.config import RepositoryConfig, UpstreamConfig
from gateway.errors import GatewayError, Invalid
from gateway.model import OwnerMode, RepositoryKey, Scope, Visibility
from gateway.store.blob_rows import BlobRows
from gateway.store.documents import DocumentRows
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.store.rows import DocumentRow
from gateway.upstream.breaker import State
from gateway.upstream.hosts import UpstreamHealth
from gateway.upstream.registry import Upstream
from gateway.web import admin
from gateway.web.admin import ADMIN_ROUTES, PREFIX
from gateway.web.control.call import AdminServices
from gateway.web.credentials import read_credentials
from gateway.web.errors import answer_for
from gateway.web.route_table import route_table
from gateway.web.sessions import COOKIE, csrf_token
from tests.auth.world import PASSWORD, World, cheapen_passwords, open_catalogue

READ, WRITE, DELETE, ADMIN = Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN
PEER = "127.0.0.1"


class LowerCase:
    """An ecosystem whose names are lower case; the rest of the protocol is not asked here."""

    def normalize(self, package: str) -> str:
        if not package or " " in package:
            raise Invalid("not a name")
        return package.lower()


class Healthy:
    """An upstream client that was asked something."""

    def health(self) -> list[UpstreamHealth]:
        return [UpstreamHealth("pypi", "pypi.test", State.CLOSED, 0, None, 1.0, None, 3, 4)]


def upstream(name: str, type_: str, **config) -> Upstream:
    return Upstream(name, type_, f"https://{name}.test/", frozenset({f"{name}.test"}), UpstreamConfig(**config))


class Api:
    """The API over HTTP, and the world behind it."""

    def __init__(self, world, services: AdminServices, client: TestClient) -> None:
        self.world = world
        self.services = services
        self.client = client
        self.secrets: dict[str, str] = {}

    async def token(self, name: str, *scopes: Scope, **narrowing) -> str:
        accounts = self.world.acting(name)
        row = self.world.identities.actor_by_name(name)
        secret = tokens.mint()
        await accounts._identities.create_token(
            row.id,
            sha256=tokens.sha256(secret),
            hint=secret[:8],
            name="test",
            scopes=scopes or tuple(Scope),
            **narrowing,
        )
        return secret

    async def call(self, method: str, path: str, who: str | None = None, body: object = None, headers: Mapping = {}):
        """(status, decoded body) of a request by somebody with a full token, by a secret, or by nobody."""
        sent = dict(headers)
        if who is not None:
            if not tokens.is_well_formed(who):
                who = self.secrets.get(who) or self.secrets.setdefault(who, await self.token(who))
            sent["Authorization"] = f"Bearer {who}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        async with self.client.request(method, PREFIX + path, data=data, headers=sent) as response:
            raw = await response.read()
            self.headers = response.headers
            return response.status, json.loads(raw) if raw else None


@pytest.fixture
async def api(tmp_path, monkeypatch):
    cheapen_passwords(monkeypatch)
    database = open_catalogue(tmp_path)
    world = World(database)
    services = AdminServices(
        identities=world.identities,
        repositories=Repositories(world.database),
        packages=Packages(world.database),
        audit=world.audit,
        documents=DocumentRows(world.database),
        blob_rows=BlobRows(world.database),
        upstream_client=Healthy(),
        authenticator=world.authenticator,
        formats={"pypi": LowerCase(), "npm": LowerCase()},
        upstreams={
            "pypi": upstream("pypi", "pypi"),
            "secret": upstream("secret", "pypi", token="hidden"),
            "npm": upstream("npm", "npm"),
        },
    )

    async def serve(request: web.BaseRequest):
        try:
            actor = await world.authenticator.actor(read_credentials(request.headers), request.remote)
            answer = await admin.dispatch(services, request, actor, "request-7")
        except GatewayError as error:
            answer = answer_for(error, None, "", 'Bearer realm="entrepot"')
        await answer.send(request)
        return answer

    async with TestClient(RawTestServer(serve)) as client:
        await world.user("root", is_admin=True)
        for name in ("olga", "max", "eve"):
            await world.user(name)
        await world.service("builder")
        await world.organisation("acme", "olga", "max")
        yield Api(world, services, client)
    database.close()


async def tools(api: Api, **config):
    """The private repository pypi/acme/tools."""
    wanted = RepositoryConfig(**{"layers": ("hosted", "pypi"), **config})
    return await api.services.repositories.upsert(RepositoryKey.parse("pypi/acme/tools"), wanted, "api")


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────
def sample(pattern: str) -> str:
    filled = pattern.replace("{package*}", "widget").replace("{type}", "pypi").replace("{owner}", "acme")
    for name, value in {
        "repository": "tools",
        "organisation": "acme",
        "team": "core",
        "name": "eve",
        "id": "1",
    }.items():
        filled = filled.replace(f"{{{name}}}", value)
    return filled


SIGNED_IN = [route for route in ADMIN_ROUTES if route.scope is not None]


async def test_every_route_refuses_nobody(api):
    for route in SIGNED_IN:
        status, body = await api.call(route.method, sample(route.pattern), None, {} if route.request else None)

        assert (status, body["code"]) == (401, "unauthenticated"), route
        assert api.headers["WWW-Authenticate"].startswith("Bearer")
        assert api.headers["Content-Type"] == "application/problem+json"


async def test_every_administering_route_refuses_a_token_without_the_scope(api):
    secret = await api.token("root", READ, WRITE, DELETE)

    for route in SIGNED_IN:
        if route.scope is ADMIN:
            status, _ = await api.call(route.method, sample(route.pattern), secret, {} if route.request else None)
            assert status == 403, route


def test_every_route_says_what_it_does_and_the_table_lists_it():
    rows = route_table((), ADMIN_ROUTES)

    assert len(rows) == len(ADMIN_ROUTES) == len({(row.method, row.address) for row in rows})
    assert all(row.purpose for row in rows)
    assert next(row for row in rows if row.address == PREFIX + "users" and row.method == "POST").scope == "admin"


async def test_the_openapi_document_describes_every_route(api):
    status, document = await api.call("GET", "openapi.json")

    assert (status, document["openapi"]) == (200, "3.1.0")
    described = {(m.upper(), path) for path, item in document["paths"].items() for m in item}
    assert len(described) == len(ADMIN_ROUTES)
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text
    purge = document["paths"][PREFIX + "cache/purge"]["post"]
    assert purge["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Purge"}
    assert [p["name"] for p in document["paths"][PREFIX + "users/{name}"]["delete"]["parameters"]] == ["name"]


# ── requests that are not meant, or not ours ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "text/plain", 400),
        (b"name=x", "application/x-www-form-urlencoded", 400),
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"name": 1}', "application/json", 400),
        (b'{"name": "ann", "is_root": true}', "application/json", 400),
        (b'{"name": "' + b"x" * 1001 + b'"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"name": "' + b"x" * 1024 * 1024 + b'"}', "application/json", 413),
    ],
)
async def test_a_body_that_is_not_meant_is_refused(api, body, content_type, status):
    headers = {"Authorization": f"Bearer {await api.token('root')}", "Content-Type": content_type}

    async with api.client.request("POST", PREFIX + "users", data=io.BytesIO(body), headers=headers) as response:
        assert response.status == status


async def test_an_endless_body_is_cut_off(api):
    async def chunks():
        for _ in range(40):
            yield b" " * 65536

    headers = {"Authorization": f"Bearer {await api.token('root')}", "Content-Type": "application/json"}
    async with api.client.request("POST", PREFIX + "users", data=chunks(), headers=headers) as response:
        assert response.status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404),
        ("PUT", "users", 405),
        ("DELETE", "tokens/abc", 400),
        ("DELETE", "tokens/99999999999999999999", 400),
        ("GET", "repositories/pypi/acme/nothing", 404),
        ("GET", "repositories/cargo/acme/tools", 404),
        ("DELETE", "users/a%2Fb", 400),
        ("GET", "audit?limit=0", 400),
        ("GET", "audit?limit=-1", 400),
        ("GET", "audit?before=x", 400),
    ],
)
async def test_an_address_that_is_not_meant_is_refused(api, method, path, status):
    assert (await api.call(method, path, "root"))[0] == status


async def test_a_password_is_no_way_in(api):
    """A browser adds a remembered Basic password to what other sites ask for."""
    await api.world.user("ann", password=PASSWORD, is_admin=True)
    headers = {"Authorization": aiohttp.encode_basic_auth("ann", PASSWORD)}
    status, _ = await api.call("POST", "users", body={"name": "mallory", "is_admin": True}, headers=headers)

    assert status == 401
    assert api.world.identities.actor_by_name("mallory") is None


async def session(api: Api) -> dict[str, str]:
    await api.world.user("ann", password=PASSWORD, is_admin=True)
    signing = SignIn(api.world.authenticator, api.world.identities, api.world.audit, 3600.0, api.world.clock)
    secret = await signing.sign_in("ann", PASSWORD, PEER)
    return {"Cookie": f"{COOKIE}={secret}", "X-CSRF-Token": csrf_token(secret)}


async def test_a_session_reads_and_changes_with_its_csrf_header(api):
    headers = await session(api)

    assert (await api.call("GET", "me", headers={"Cookie": headers["Cookie"]}))[1]["name"] == "ann"
    status, _ = await api.call("POST", "users", body={"name": "new"}, headers=headers)
    assert status == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"X-CSRF-Token": None},
        {"X-CSRF-Token": "0" * 64},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
    ],
)
async def test_another_site_changes_nothing_in_a_session(api, wrong):
    headers = {name: value for name, value in ({**await session(api), **wrong}).items() if value is not None}

    status, _ = await api.call("POST", "users", body={"name": "mallory", "is_admin": True}, headers=headers)

    assert status in {400, 403}
    assert api.world.identities.actor_by_name("mallory") is None


async def test_a_made_up_session_is_nobody(api):
    assert (await api.call("GET", "me", headers={"Cookie": f"{COOKIE}={'x' * 43}"}))[0] == 401


async def test_who_borrows_a_session_cannot_guess_the_password_in_it(api):
    headers = await session(api)

    async def changed(current: str) -> int:
        body = {"current": current, "new": "another good password"}
        return (await api.call("PUT", "me/password", body=body, headers=headers))[0]

    guesses = [await changed("wrong password") for _ in range(22)]

    assert guesses == [403] * 20 + [429] * 2
    assert await changed(PASSWORD) == 429


# ── claim ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_claim_is_redeemed_once_and_guesses_are_throttled(api, tmp_path):
    root = api.world.identities.actor_by_name("root")
    await api.world.identities.delete_actor(root.id)
    path = await ensure_claim(tmp_path, api.world.identities, "http://a")
    body = {"secret": path.read_text().strip().rpartition("/")[2], "name": "first", "password": PASSWORD}

    status, made = await api.call("POST", "claim", body=body)
    assert status == 201
    assert (await api.call("GET", "me", made["secret"]))[1]["is_admin"] is True
    answers = [(await api.call("POST", "claim", body={**body, "name": "mallory"}))[0] for _ in range(25)]

    assert answers == [403] * 20 + [429] * 5


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_administrator_manages_people(api):
    assert (await api.call("POST", "users", "root", {"name": "ann", "email": "a@example.com"}))[0] == 201
    assert (await api.call("POST", "users", "root", {"name": "ann"}))[0] == 409
    assert (await api.call("PATCH", "users/ann", "root", {"is_admin": True}))[1]["is_admin"] is True
    assert (await api.call("PATCH", "users/root", "ann", {"is_admin": False}))[0] == 200
    assert (await api.call("DELETE", "users/eve", "ann"))[0] == 204
    assert [u["name"] for u in (await api.call("GET", "users", "ann"))[1]] == ["ann", "max", "olga", "root"]
    assert (await api.call("POST", "services", "ann", {"name": "bot"}))[0] == 201
    assert (await api.call("PATCH", "services/bot", "ann", {"is_disabled": True}))[1]["is_disabled"] is True
    assert (await api.call("DELETE", "services/bot", "ann"))[0] == 204
    assert (await api.call("GET", "services", "ann"))[1][0]["name"] == "builder"


async def test_who_owns_repositories_is_not_deleted(api):
    await tools(api)
    wanted = RepositoryConfig()
    await api.services.repositories.upsert(RepositoryKey.parse("npm/eve/web"), wanted, "api")

    assert (await api.call("DELETE", "users/eve", "root"))[0] == 409
    assert (await api.call("DELETE", "organisations/acme", "root"))[0] == 409
    assert (await api.call("DELETE", "users/eve", "max"))[0] == 403


async def test_tokens_are_made_listed_and_revoked(api):
    status, made = await api.call("POST", "tokens", "eve", {"name": "ci", "scopes": ["read:packages"]})
    assert status == 201
    assert (await api.call("GET", "me", made["secret"]))[1]["scopes"] == ["read:packages"]
    wide = {"name": "wider", "scopes": ["write:packages"]}
    assert (await api.call("POST", "tokens", made["secret"], wide))[0] == 403
    listed = (await api.call("GET", "tokens", made["secret"]))[1]
    assert [row["id"] for row in listed] == [made["token"]["id"]]
    assert made["secret"] not in json.dumps(listed)

    assert (await api.call("DELETE", f"tokens/{made['token']['id']}", "max"))[0] == 404
    assert (await api.call("DELETE", f"tokens/{made['token']['id']}", "eve"))[0] == 204
    assert (await api.call("GET", "me", made["secret"]))[0] == 401


async def test_an_administrator_sees_the_tokens_of_a_service(api):
    body = {"name": "ci", "scopes": ["write:packages"], "owner": "builder"}
    assert (await api.call("POST", "tokens", "olga", body))[0] == 403
    status, made = await api.call("POST", "tokens", "root", body)

    assert status == 201
    assert (await api.call("GET", "tokens?owner=builder", "root"))[1] == [made["token"]]
    assert (await api.call("GET", "tokens?owner=builder", "eve"))[0] == 403


# ── organisations ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_owner_runs_the_organisation(api):
    assert (await api.call("PUT", "organisations/acme/members/eve", "olga", {"role": "member"}))[0] == 204
    assert (await api.call("POST", "organisations/acme/teams", "olga", {"name": "core"}))[0] == 201
    assert (await api.call("PUT", "organisations/acme/teams/core/members/eve", "olga"))[0] == 204
    grant = {"subject_kind": "team", "subject": "acme/core", "role": "write", "repository": "pypi/acme/*"}
    status, given = await api.call("POST", "grants", "olga", grant)
    assert (status, given["subject"]) == (201, "acme/core")

    assert (await api.call("GET", "organisations", "eve"))[1][0]["name"] == "acme"
    assert (await api.call("GET", "organisations/acme/teams", "eve"))[1] == [{"organisation": "acme", "name": "core"}]
    members = (await api.call("GET", "organisations/acme/teams/core/members", "eve"))[1]
    assert members == [{"name": "eve", "role": "member"}]
    assert (await api.call("GET", "grants?repository=pypi/acme/*", "olga"))[1] == [given]
    assert (await api.call("GET", "grants", "eve"))[1] == []
    assert (await api.call("DELETE", f"grants/{given['id']}", "eve"))[0] == 404
    assert (await api.call("DELETE", f"grants/{given['id']}", "olga"))[0] == 204
    assert (await api.call("DELETE", "organisations/acme/teams/core/members/eve", "olga"))[0] == 204
    assert (await api.call("DELETE", "organisations/acme/teams/core", "olga"))[0] == 204
    assert (await api.call("DELETE", "organisations/acme/members/eve", "olga"))[0] == 204


@pytest.mark.parametrize("who", ["max", "eve", "builder"])
async def test_a_member_does_not_escalate(api, who):
    await tools(api)
    grant = {"subject_kind": "user", "subject": who, "role": "admin", "repository": "pypi/acme/tools"}

    for method, path, body in (
        ("PUT", f"organisations/acme/members/{who}", {"role": "owner"}),
        ("POST", "grants", grant),
        ("POST", "organisations", {"name": "mine"}),
        ("POST", "repositories", {"type": "pypi", "owner": "acme", "name": "mine"}),
        ("PATCH", "repositories/pypi/acme/tools", {"visibility": "public"}),
        ("DELETE", "repositories/pypi/acme/tools", None),
        ("PUT", "repositories/pypi/acme/tools/packages/widget/ownership", {"mode": "hosted"}),
        ("PUT", "repositories/pypi/acme/tools/packages/widget/restriction", {"is_restricted": False}),
        ("DELETE", "repositories/pypi/acme/tools/packages/widget", None),
        ("PATCH", f"users/{who}", {"is_admin": True}),
        ("GET", "audit", None),
        ("GET", "upstreams", None),
        ("GET", "cache", None),
        ("POST", "cache/purge", {}),
    ):
        status, _ = await api.call(method, path, who, body)
        assert status in {403, 404}, (method, path)
    assert await api.world.audited() == []


async def test_an_organisation_is_made_by_administrators(api):
    assert (await api.call("POST", "organisations", "root", {"name": "new", "owner": "eve"}))[0] == 201
    assert (await api.call("GET", "organisations/new/members", "eve"))[1] == [{"name": "eve", "role": "owner"}]
    assert (await api.call("DELETE", "organisations/new", "eve"))[0] == 403
    assert (await api.call("DELETE", "organisations/new", "root"))[0] == 204


# ── repositories ─────────────────────────────────────────────────────────────────────────────────────────────────
NEW = {"type": "pypi", "owner": "acme", "name": "tools", "layers": ["hosted", "pypi"], "reserve": ["acme-*"]}


async def test_an_owner_makes_changes_and_deletes_a_repository(api):
    status, made = await api.call("POST", "repositories", "olga", NEW)
    assert (status, made["visibility"], made["source"]) == (201, "private", "api")
    assert (await api.call("POST", "repositories", "olga", NEW))[0] == 409

    changed = (await api.call("PATCH", "repositories/pypi/acme/tools", "olga", {"visibility": "public"}))[1]
    assert changed == {**made, "visibility": "public"}
    assert (await api.call("GET", "repositories/pypi/acme/tools", "eve"))[1] == changed
    assert (await api.call("GET", "repositories?owner=acme&type=pypi", "eve"))[1] == [changed]
    assert (await api.call("GET", "repositories?owner=other", "eve"))[1] == []

    assert (await api.call("DELETE", "repositories/pypi/acme/tools", "olga"))[0] == 204
    assert (await api.call("GET", "repositories/pypi/acme/tools", "olga"))[0] == 404
    assert await api.world.audited() == ["repository.create", "repository.update", "repository.delete"]
    entry = (await api.world.audit.list())[0]
    assert (entry.actor, entry.repository, entry.address, entry.request_id) == (
        "olga",
        "pypi/acme/tools",
        PEER,
        "request-7",
    )


async def test_a_private_repository_is_unknown_to_strangers(api):
    await tools(api)

    assert (await api.call("GET", "repositories/pypi/acme/tools", "max"))[0] == 200
    for path in ("repositories/pypi/acme/tools", "repositories/pypi/acme/tools/packages"):
        assert (await api.call("GET", path, "eve"))[0] == 404
    assert (await api.call("PATCH", "repositories/pypi/acme/tools", "eve", {}))[0] == 404
    assert (await api.call("GET", "repositories", "eve"))[1] == []


@pytest.mark.parametrize(
    ("who", "change", "status"),
    [
        ("olga", {"owner": "max"}, 403),
        ("olga", {"owner": "nobody"}, 403),
        ("root", {"owner": "nobody"}, 404),
        ("root", {"owner": "builder"}, 404),
        ("olga", {"type": "cargo"}, 400),
        ("olga", {"name": "a/b"}, 400),
        ("olga", {"name": "-"}, 400),
        ("olga", {"layers": []}, 400),
        ("olga", {"layers": ["hosted", "hosted"]}, 400),
        ("olga", {"layers": ["npm"]}, 400),
        ("olga", {"layers": ["nothing"]}, 400),
        ("olga", {"layers": ["acme/tools"]}, 400),
        ("olga", {"layers": ["secret"]}, 403),
        ("root", {"layers": ["secret"]}, 201),
        ("olga", {"layers": ["eve/private"]}, 400),
        ("olga", {"hosts": ["pkg.example.com"]}, 403),
        ("root", {"hosts": ["pkg.example.com"]}, 201),
        ("root", {"hosts": ["taken.example.com"]}, 409),
        ("root", {"hosts": ["Not A Host"]}, 400),
        ("olga", {"reserve": ["Acme-*"]}, 400),
        ("olga", {"reserve": [""]}, 400),
        ("olga", {"reserve": ["acme tools*"]}, 400),
        ("olga", {"merge": ["Acme"]}, 400),
        ("olga", {"visibility": "secret"}, 400),
    ],
)
async def test_what_a_new_repository_may_be(api, who, change, status):
    taken = RepositoryConfig(hosts=("taken.example.com",))
    await api.services.repositories.upsert(RepositoryKey.parse("pypi/eve/private"), taken, "api")

    assert (await api.call("POST", "repositories", who, {**NEW, **change}))[0] == status


async def test_a_token_narrowed_to_a_repository_changes_no_other(api):
    await tools(api)
    secret = await api.token("olga", ADMIN, repositories=("npm/acme/*",))

    assert (await api.call("PATCH", "repositories/pypi/acme/tools", secret, {"visibility": "public"}))[0] == 404
    assert (await api.call("POST", "repositories", secret, {**NEW, "type": "npm", "layers": ["hosted"]}))[0] == 201


async def test_a_repository_of_the_configuration_is_changed_there(api):
    await api.services.repositories.upsert(RepositoryKey.parse("pypi/acme/tools"), RepositoryConfig(), "config")

    assert (await api.call("PATCH", "repositories/pypi/acme/tools", "olga", {"visibility": "public"}))[0] == 409
    assert (await api.call("DELETE", "repositories/pypi/acme/tools", "root"))[0] == 409


# ── packages ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_name_is_claimed_and_released(api):
    repository = await tools(api)
    await api.services.packages.adopt(repository.id, "widget", "pypi")
    path = "repositories/pypi/acme/tools/packages"

    assert (await api.call("PUT", f"{path}/Widget/ownership", "olga", {"mode": "hosted"}))[0] == 204
    listed = (await api.call("GET", path, "max"))[1]
    assert [(row["name"], row["owner_mode"]) for row in listed] == [("widget", "hosted")]

    assert (await api.call("PUT", f"{path}/widget/ownership", "olga", {"mode": "released"}))[0] == 204
    assert (await api.call("GET", path, "max"))[1] == []
    assert (await api.call("PUT", f"{path}/widget/ownership", "olga", {"mode": "released"}))[0] == 404
    assert await api.world.audited() == ["package.claim", "package.release"]


async def test_a_writer_does_not_claim(api):
    repository = await tools(api)
    await api.services.packages.adopt(repository.id, "widget", "pypi")
    secret = await api.token("olga", READ, WRITE, DELETE)
    path = "repositories/pypi/acme/tools/packages/widget/ownership"

    assert (await api.call("PUT", path, secret, {"mode": "hosted"}))[0] == 403
    assert api.services.packages.get(repository.id, "widget").owner_mode is OwnerMode.UPSTREAM


async def test_a_scoped_name_is_one_package(api):
    await tools(api)

    path = "repositories/pypi/acme/tools/packages/@acme/web/ownership"
    assert (await api.call("PUT", path, "olga", {"mode": "hosted"}))[0] == 204
    assert (await api.call("GET", "repositories/pypi/acme/tools/packages", "olga"))[1][0]["name"] == "@acme/web"


async def test_a_restricted_package_is_hidden_from_members(api):
    repository = await tools(api, visibility=Visibility.PUBLIC)
    await api.services.packages.claim(repository.id, "widget")
    path = "repositories/pypi/acme/tools/packages"
    assert (await api.call("PUT", f"{path}/widget/restriction", "olga", {"is_restricted": True}))[0] == 204

    for who in ("max", "eve"):
        assert (await api.call("GET", path, who))[1] == []
        assert (await api.call("DELETE", f"{path}/widget", who))[0] == 404
    assert len((await api.call("GET", path, "olga"))[1]) == 1

    assert (await api.call("PUT", f"{path}/widget/restriction", "olga", {"is_restricted": False}))[0] == 204
    assert len((await api.call("GET", path, "eve"))[1]) == 1


async def test_deleting_needs_the_delete_scope(api):
    repository = await tools(api)
    await api.services.packages.claim(repository.id, "widget")
    path = "repositories/pypi/acme/tools/packages/widget"

    assert (await api.call("DELETE", path, await api.token("olga", READ, WRITE)))[0] == 403
    assert (await api.call("DELETE", path, "max"))[0] == 403
    assert (await api.call("DELETE", path, await api.token("olga", DELETE)))[0] == 204
    assert (await api.call("DELETE", f"{path}-of-nobody", "olga"))[0] == 404
    assert await api.world.audited() == ["package.delete"]


# ── the installation ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_audit_is_paged_and_filtered(api):
    for number in range(5):
        await api.call("POST", "users", "root", {"name": f"user{number}"})

    newest = (await api.call("GET", "audit?limit=2", "root"))[1]
    older = (await api.call("GET", f"audit?limit=10&before={newest[-1]['id']}", "root"))[1]

    assert [row["detail"]["name"] for row in newest + older] == ["user4", "user3", "user2", "user1", "user0"]
    assert (await api.call("GET", "audit?actor=olga", "root"))[1] == []


async def test_who_administers_a_repository_sees_its_audit(api):
    await api.call("POST", "repositories", "olga", NEW)

    assert len((await api.call("GET", "audit?repository=pypi/acme/tools", "olga"))[1]) == 1
    assert (await api.call("GET", "audit", "olga"))[0] == 403
    assert (await api.call("GET", "audit?repository=pypi/acme/tools", "max"))[0] == 403


async def test_upstreams_and_cache_are_for_administrators(api):
    document = DocumentRow("pypi", "widget/", 404, None, 0, "", "", "", "", {}, 1.0, 60.0)
    await api.services.documents.put(document)

    assert (await api.call("GET", "upstreams", "root"))[1][0]["host"] == "pypi.test"
    assert (await api.call("GET", "cache", "root"))[1] == []
    assert (await api.call("POST", "cache/purge", "root", {"upstream": "nothing"}))[0] == 400
    assert (await api.call("POST", "cache/purge", "root", {"upstream": "npm"}))[1] == {"documents": 0}
    assert (await api.call("POST", "cache/purge", "root", {}))[1] == {"documents": 1}
    assert await api.world.audited() == ["cache.purge", "cache.purge"]
