"""A repository's settings are checked before anything is served: a rule that nobody reads would protect nothing."""

import pytest

from gateway.adapter import load_adapters
from gateway.adjusting import check_settings
from gateway.config import Config, RepositoryConfig
from gateway.errors import ConfigInvalid, Invalid
from gateway.model import Scope
from gateway.wanted import configured
from tests.conftest import StartGateway

FORMATS = {adapter.type: adapter.format for adapter in load_adapters()}


@pytest.mark.parametrize(
    ("type_", "settings", "message"),
    [
        ("pypi", {"stric": True}, "settings.stric: unknown key (known: attestations, realm, strict)"),
        ("pypi", {"strict": "yes"}, "settings.strict: expected true or false"),
        ("pypi", {"attestations": "sometimes"}, "settings.attestations: expected one of store, refuse, ignore"),
        ("maven", {"keep_snapshots": True}, "settings.keep_snapshots: expected a whole number"),
        ("container", {"immutable": "v*"}, "settings.immutable: expected a list of texts"),
        ("container", {"immutable": [1]}, "settings.immutable: expected a list of texts"),
        ("container", {"retention": "all"}, "settings.retention: expected a list of rules"),
        ("npm", {"retention": []}, "settings.retention: unknown key (known: realm, strict)"),
        ("npm", {"realm": 7}, "settings.realm: expected a text"),
    ],
)
def test_what_nobody_would_read_is_refused(type_: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_settings(settings, FORMATS[type_])

    assert caught.value.message == message


@pytest.mark.parametrize("type_", sorted(FORMATS))
def test_a_realm_is_a_setting_of_every_type(type_: str) -> None:
    check_settings({"realm": "acme"}, FORMATS[type_])


def test_a_wrong_setting_is_named_with_its_path() -> None:
    entry = RepositoryConfig(settings={"immutable": "v*"})

    with pytest.raises(ConfigInvalid) as caught:
        configured(Config(repositories={"container": {"acme/images": entry}}), FORMATS)

    assert caught.value.message == ("repositories.container.acme/images.settings.immutable: expected a list of texts")


async def test_the_api_refuses_a_wrong_setting(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({})
    token = await gateway.token(scopes=(Scope.ADMIN,))

    reply = await gateway.request(
        "POST",
        "-/api/v1/repositories",
        token,
        json={"type": "pypi", "owner": "ada", "name": "tools", "settings": {"stric": True}},
    )

    assert reply.status == 400
    assert "settings.stric: unknown key" in reply.body.decode()
