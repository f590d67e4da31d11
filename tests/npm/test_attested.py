"""Attestations at the root of the host, where npm's clients ask with a path that names no repository (npm.md §11)."""

import hashlib
import json

from gateway.model import Scope
from tests.conftest import Gateway, StartGateway, private, public
from tests.fakes.artifacts import tarball
from tests.fakes.upstream import FaultyUpstream
from tests.npm.conftest import Registry
from tests.npm.documents import publication
from tests.npm.test_publishing import bundle

ROOT = "-/npm/v1/attestations/"


async def publish_attested(gateway: Gateway, path: str, name: str, token: str) -> object:
    """Publish 1.0.0 with provenance; the bundle."""
    built = tarball().build(name, "1.0.0")
    text = bundle(f"pkg:npm/{name.replace('@', '%40')}@1.0.0", "1.0.0", hashlib.sha512(built.body).hexdigest())
    document = publication(name, "1.0.0", built)
    document["_attachments"][f"{name}-1.0.0.sigstore"] = {"content_type": "application/vnd.x", "data": text}
    data = json.dumps(document).encode()
    sent = await gateway.request("PUT", path + name.replace("/", "%2f"), token, data=data)
    assert sent.status in {200, 201}, sent.body
    return json.loads(text)


async def test_what_was_published_with_a_version_is_served_below_the_repository_and_at_the_root(
    registry: Registry, token: str
) -> None:
    text = await publish_attested(registry.gateway, registry.path, "@acme/lib", token)

    below = await registry.get(f"{ROOT}@acme%2flib@1.0.0")
    for spec in ("@acme%2flib@1.0.0", "@acme/lib@1.0.0"):
        at_root = await registry.gateway.get(ROOT + spec)

        assert (at_root.status, at_root.body) == (200, below.body)
        assert json.loads(at_root.body)["attestations"][0]["bundle"] == text
    assert (await registry.gateway.get(f"{ROOT}@acme%2flib@2.0.0")).status == 404


async def test_the_root_asks_upstreams_only_about_packages_that_they_already_gave(registry: Registry) -> None:
    (built,) = registry.fake.npm("left-pad", {"1.0.0": tarball()})
    body = {"attestations": [{"predicateType": "p", "bundle": {}}]}
    registry.fake.serve(f"/npm/{ROOT}left-pad@1.0.0", json.dumps(body).encode(), "application/json")

    before = await registry.gateway.get(f"{ROOT}left-pad@1.0.0")
    asked = registry.fake.count()
    await registry.get(f"left-pad/-/{built.filename}")
    after = await registry.gateway.get(f"{ROOT}left-pad@1.0.0")

    assert (before.status, asked) == (404, 0)
    assert json.loads(before.body)["error"]
    assert (after.status, json.loads(after.body)) == (200, body)


async def test_a_private_package_is_neither_shown_at_the_root_nor_asked_of_anothers_upstream(
    start_gateway: StartGateway,
) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.npm("secret-tool", {"1.0.0": tarball()})
        repositories = {"npm": {"acme/open": public("fake"), "acme/closed": private("hosted")}}
        gateway = await start_gateway(repositories, {"fake": fake.config("npm")})
        await gateway.get(f"npm/acme/open/secret-tool/-/{built.filename}")
        token = await gateway.token()
        await publish_attested(gateway, "npm/acme/closed/", "secret-tool", token)
        stranger = await gateway.token("eve", (Scope.READ,), is_admin=False)
        fake.forget()

        refused = [await gateway.get(f"{ROOT}secret-tool@1.0.0", who) for who in (None, stranger)]
        shown = await gateway.get(f"{ROOT}secret-tool@1.0.0", token)

        assert [one.status for one in refused] == [404, 404]
        assert shown.status == 200
        assert fake.count() == 0


async def test_other_addresses_below_the_gateways_own_stay_its_own(registry: Registry) -> None:
    for path in ("-/npm/v1/attestations", "-/npm/v1/keys", "-/npm/", "-/health"):
        found = await registry.gateway.get(path)
        assert found.status == (200 if path == "-/health" else 404), path
    for path in (f"{ROOT}..%2f..%2fsecret@1.0.0", f"{ROOT}a%00b@1.0.0", f"{ROOT}nothing"):
        assert (await registry.gateway.get(path)).status in {400, 404}, path
