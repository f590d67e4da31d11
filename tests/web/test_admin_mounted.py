"""The control API behind the real mount: addresses, errors and credentials as clients meet them."""

from gateway.config import ServerConfig
from gateway.model import Scope

ME = "-/api/v1/me"


async def test_the_api_answers_below_its_prefix(start_gateway):
    gateway = await start_gateway()
    secret = await gateway.token("ada", (Scope.READ,))

    me = await gateway.get(ME, secret)
    refused = await gateway.get(ME)

    assert (me.status, (await me.json())["name"]) == (200, "ada")
    assert (refused.status, refused.headers["Content-Type"]) == (401, "application/problem+json")
    assert refused.headers["X-Request-Id"]
    assert (await gateway.get("-/api/v1/openapi.json")).status == 200
    assert (await gateway.get("-/api/v1/../users", secret)).status == 400


async def test_a_client_cannot_forge_the_network_that_a_token_is_bound_to(start_gateway):
    """Nobody's headers are believed but a trusted proxy's, and of that one only what it wrote itself."""
    forged = ("10.1.2.3", "10.1.2.3, 127.0.0.1", "::ffff:10.1.2.3", "for=10.1.2.3")

    gateway = await start_gateway()
    secret = await gateway.token("ada", (Scope.READ,), cidrs=("10.0.0.0/8",))
    for value in forged:
        for name in ("X_Forwarded_For", "Forwarded", "X_Real_IP"):
            assert (await gateway.get(ME, secret, **{name: value})).status == 401


async def test_a_trusted_proxy_names_the_client_and_the_client_cannot_prepend(start_gateway):
    gateway = await start_gateway(server=ServerConfig(trusted_proxies=("127.0.0.1",)))
    secret = await gateway.token("ada", (Scope.READ,), cidrs=("10.0.0.0/8",))

    assert (await gateway.get(ME, secret, X_Forwarded_For="10.1.2.3")).status == 200
    assert (await gateway.get(ME, secret, X_Forwarded_For="10.1.2.3, 203.0.113.9")).status == 401
    disagreeing = await gateway.get(ME, secret, X_Forwarded_For="10.1.2.3", Forwarded="for=203.0.113.9")
    assert disagreeing.status == 401
