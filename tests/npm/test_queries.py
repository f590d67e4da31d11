"""Search, audit, keys and attestations over HTTP (npm.md §20, items 37, 38, 46)."""

import gzip
import json

import pytest

from tests.conftest import Gateway
from tests.fakes.artifacts import tarball
from tests.fakes.faults import answer, down
from tests.npm.conftest import Registry

SEARCH = "/npm/-/v1/search"
BULK = "/npm/-/npm/v1/security/advisories/bulk"
ADVISORY = {"left-pad": [{"id": 1, "title": "pads", "severity": "low", "vulnerable_versions": "<2"}]}


def found(*names: str) -> bytes:
    objects = [{"package": {"name": name, "version": "1.0.0"}} for name in names]
    return json.dumps({"objects": objects, "total": len(objects), "time": "now"}).encode()


async def search(registry: Registry, text: str, token: str | None = None) -> list[str]:
    body = json.loads((await registry.get(f"-/v1/search?text={text}&size=20", token)).body)
    return [one["package"]["name"] for one in body["objects"]]


async def test_our_own_packages_come_first(registry: Registry, token: str) -> None:
    await registry.publish("padder", "1.0.0", token, tarball(package_json={"description": "pads things"}))
    registry.fake.serve(SEARCH, found("left-pad", "right-pad", "padder", "@acme/evil"), "application/json")

    assert await search(registry, "pad") == ["padder", "left-pad", "right-pad"]
    assert await search(registry, "things") == ["padder", "left-pad", "right-pad"]


@pytest.mark.parametrize(
    "text",
    [
        *("@acme/secret-plan", "padder", "x%20@acme/secret", "scope:acme", "@acme", "Padder", "name:padder"),
        *("%22padder%22", "padder@1.0.0", "left,padder", "(padder)", "padder.", "%22@acme/x%22", "@acme/x@1.0.0"),
    ],
)
async def test_a_search_for_a_name_of_ours_does_not_leave(registry: Registry, token: str, text: str) -> None:
    await registry.publish("padder", "1.0.0", token)
    registry.fake.seen.clear()
    registry.fake.serve(SEARCH, found("left-pad"), "application/json")

    await search(registry, text)

    assert registry.fake.count() == 0


async def test_restricted_packages_are_absent_for_outsiders(registry: Registry, token: str, admin: str) -> None:
    await registry.publish("@acme/open", "1.0.0", token)
    await registry.publish("@acme/closed", "1.0.0", admin, access="restricted")

    assert await search(registry, "scope:acme") == ["@acme/open"]
    assert await search(registry, "scope:acme", admin) == ["@acme/closed", "@acme/open"]


async def test_a_search_goes_on_without_its_upstream(registry: Registry, token: str) -> None:
    await registry.publish("padder", "1.0.0", token)
    registry.fake.fault(down())

    assert await search(registry, "pad") == ["padder"]
    assert (await registry.get("-/v1/search?text=pad&size=x")).status == 400


async def _audit(gateway: Gateway, path: str, asked: object) -> object:
    body = gzip.compress(json.dumps(asked).encode())
    return await gateway.request("POST", f"{path}-/npm/v1/security/advisories/bulk", data=body, Content_Encoding="gzip")


async def test_an_audit_is_forwarded_without_our_names(registry: Registry, token: str) -> None:
    await registry.publish("internal-tool", "1.0.0", token)
    registry.fake.seen.clear()
    registry.fake.serve(BULK, json.dumps(ADVISORY).encode(), "application/json")
    asked = {"left-pad": ["1.3.0"], "@acme/secret": ["1.0.0"], "internal-tool": ["1.0.0"], "../x": ["1"]}

    reply = await _audit(registry.gateway, registry.path, asked)

    assert json.loads(reply.body) == ADVISORY
    (seen,) = registry.fake.seen
    assert json.loads(seen.body) == {"left-pad": ["1.3.0"]}


@pytest.mark.parametrize("fault", [down(), answer(500), answer(403), answer(404)], ids=["down", "500", "403", "404"])
async def test_an_audit_without_its_upstream_finds_nothing_and_says_so(registry: Registry, fault: object) -> None:
    registry.fake.fault(fault)

    reply = await _audit(registry.gateway, registry.path, {"left-pad": ["1.3.0"]})

    assert (reply.status, json.loads(reply.body)) == (200, {})
    assert "npm-notice" in reply.headers


async def test_an_audit_of_our_names_alone_asks_nobody(registry: Registry) -> None:
    reply = await _audit(registry.gateway, registry.path, {"@acme/secret": ["1.0.0"]})

    assert (reply.status, json.loads(reply.body)) == (200, {})
    assert registry.fake.count() == 0


async def test_keys_are_the_upstreams(registry: Registry) -> None:
    keys = {"keys": [{"keyid": "SHA256:x", "expires": None}]}
    registry.fake.serve("/npm/-/npm/v1/keys", json.dumps(keys).encode(), "application/json")

    assert json.loads((await registry.get("-/npm/v1/keys")).body) == keys


async def test_no_keys_means_that_nobody_signs(registry: Registry) -> None:
    assert (await registry.get("-/npm/v1/keys")).status == 404


async def test_an_upstreams_attestations_are_passed_on(registry: Registry) -> None:
    registry.fake.npm("@theirs/lib", {"1.0.0": tarball()})
    body = {"attestations": [{"predicateType": "p", "bundle": {}}]}
    registry.fake.serve("/npm/-/npm/v1/attestations/@theirs/lib@1.0.0", json.dumps(body).encode(), "application/json")

    assert json.loads((await registry.get("-/npm/v1/attestations/@theirs%2flib@1.0.0")).body) == body
