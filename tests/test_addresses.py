"""The same repository under its path, its domain and its own host."""

import json

from gateway.config import ServerConfig
from tests.conftest import StartGateway, public
from tests.ecosystems import NPM, PYPI


async def test_a_domain_per_type_is_the_same_repository(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(
        {"pypi": {"acme/tools": public("hosted")}, "npm": {"acme/tools": public("hosted")}},
        server=ServerConfig(base_domain="pkg.example.com"),
    )
    token = await gateway.token()
    await PYPI.publish(gateway, "acme-tool", "1.0.0", token)
    await NPM.publish(gateway, "acme-lib", "1.0.0", token)

    page = await gateway.get("acme/tools/simple/acme-tool/", Host="pypi.pkg.example.com", Accept=PYPI.accept)
    packument = await gateway.get("acme/tools/acme-lib", Host="npm.pkg.example.com")

    assert PYPI.versions(await page.read()) == {"1.0.0"}
    tarball = json.loads(await packument.read())["versions"]["1.0.0"]["dist"]["tarball"]
    assert tarball == "http://npm.pkg.example.com/acme/tools/acme-lib/-/acme-lib-1.0.0.tgz"


async def test_a_repository_can_have_a_host_of_its_own(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"npm": {"acme/tools": public("hosted", hosts=("npm.acme.example", ":4873"))}})
    token = await gateway.token()
    await NPM.publish(gateway, "acme-lib", "1.0.0", token)

    for host in ("npm.acme.example", "npm.acme.example:8443", "anything.example:4873"):
        packument = await gateway.get("acme-lib", Host=host)
        tarball = json.loads(await packument.read())["versions"]["1.0.0"]["dist"]["tarball"]
        assert tarball == f"http://{host}/acme-lib/-/acme-lib-1.0.0.tgz"
    assert (await gateway.get("-/ping", Host="npm.acme.example")).status == 200


async def test_a_public_url_is_what_documents_say(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(
        {"npm": {"acme/tools": public("hosted")}}, server=ServerConfig(public_url="https://pkg.example.com")
    )
    token = await gateway.token()
    await NPM.publish(gateway, "acme-lib", "1.0.0", token)

    packument = await gateway.get("npm/acme/tools/acme-lib", Host="whatever.example")

    tarball = json.loads(await packument.read())["versions"]["1.0.0"]["dist"]["tarball"]
    assert tarball == "https://pkg.example.com/npm/acme/tools/acme-lib/-/acme-lib-1.0.0.tgz"


async def test_only_a_trusted_proxy_may_say_what_our_address_is(start_gateway: StartGateway) -> None:
    repositories = {"npm": {"acme/tools": public("hosted")}}
    gateway = await start_gateway(repositories, server=ServerConfig(trusted_proxies=("127.0.0.1/32",)))
    token = await gateway.token()
    await NPM.publish(gateway, "acme-lib", "1.0.0", token)
    forwarded = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "pkg.example.com"}

    packument = await gateway.get("npm/acme/tools/acme-lib", **forwarded)

    tarball = json.loads(await packument.read())["versions"]["1.0.0"]["dist"]["tarball"]
    assert tarball.startswith("https://pkg.example.com/npm/acme/tools/")


async def test_life_signs_answer(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})

    assert (await gateway.get("-/health")).status == 200
    assert (await gateway.get("-/ready")).status == 200
    metrics = await gateway.get("-/metrics")
    assert b"entrepot_requests_total" in await metrics.read()


async def test_ready_says_which_part_is_not(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})
    folder = gateway.services.hosted.root
    folder.rename(folder.with_name("gone"))

    answered = await gateway.get("-/ready")

    assert answered.status == 503
    assert b"hosted store" in await answered.read()
    folder.with_name("gone").rename(folder)


async def test_a_browser_at_the_root_lands_on_the_dashboard(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})

    answered = await gateway.get("", Accept="text/html")

    assert answered.status == 302
    assert answered.headers["Location"] == "/-/ui/"


async def test_an_unknown_repository_is_reported_in_the_ecosystems_own_words(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"npm": {"acme/tools": public("hosted")}})
    token = await gateway.token()

    answered = await gateway.get("npm/nobody/nothing/lib", token)

    assert answered.status == 404
    assert "error" in json.loads(await answered.read())
