"""What is printed to be pasted names the repository as each client wants it."""

import tomllib

import pytest

from adapters.container.snippets import SNIPPETS
from gateway.adapter import SnippetContext

CONTEXT = SnippetContext("https://pkg.example.test/container/acme/hub/", "pkg.example.test", "acme", "hub", False)
PLAIN = SnippetContext("http://127.0.0.1:8080/container/acme/hub/", "127.0.0.1:8080", "acme", "hub", True)


def test_there_is_one_for_each_client() -> None:
    assert set(SNIPPETS) == {"docker", "podman", "containerd", "skopeo", "helm"}


@pytest.mark.parametrize("client", ["docker", "podman", "skopeo", "helm"])
def test_images_are_named_without_a_scheme(client: str) -> None:
    assert "pkg.example.test/container/acme/hub/IMAGE" in SNIPPETS[client](CONTEXT) or client == "helm"
    assert "pkg.example.test/container/acme/hub" in SNIPPETS[client](CONTEXT)


def test_containerds_mirror_is_toml_with_the_path_it_needs() -> None:
    told = tomllib.loads(SNIPPETS["containerd"](CONTEXT))

    ((address, options),) = told["host"].items()
    assert address == "https://pkg.example.test/v2/container/acme/hub"
    assert options == {"capabilities": ["pull", "resolve"], "override_path": True}


def test_without_tls_the_clients_are_told_so() -> None:
    assert "insecure = true" in SNIPPETS["podman"](PLAIN)
    assert "--dest-tls-verify=false" in SNIPPETS["skopeo"](PLAIN)
    assert "insecure" not in SNIPPETS["podman"](CONTEXT)
    assert "tls-verify" not in SNIPPETS["skopeo"](CONTEXT)
