"""What people paste: one source, credentials only where they are needed."""

from adapters.rubygems import ADAPTER
from gateway.adapter import SnippetContext
from gateway.upstream.presets import PRESETS

BASE = "https://pkg.example.com/rubygems/acme/tools/"


def snippet(client: str, *, is_anonymous: bool) -> str:
    return ADAPTER.snippets[client](SnippetContext(BASE, "pkg.example.com", "acme", "tools", is_anonymous))


def test_gem_has_one_source_and_a_key_for_pushing() -> None:
    assert f":sources:\n- {BASE}\n" in snippet("gem", is_anonymous=True)
    assert ":sources:\n- https://user:ent_…@pkg.example.com/rubygems/acme/tools/\n" in snippet(
        "gem", is_anonymous=False
    )
    assert f"gem push --host {BASE.rstrip('/')} " in snippet("gem", is_anonymous=True)


def test_bundler_has_one_source_or_a_mirror_of_the_public_one() -> None:
    public = PRESETS["rubygems"].url.rstrip("/")

    assert f'source "{BASE}"\n' in snippet("bundler", is_anonymous=True)
    assert f"mirror.{public} {BASE}\n" in snippet("bundler", is_anonymous=True)
    assert "ent_" not in snippet("bundler", is_anonymous=True)
    assert f"bundle config set --global {BASE} user:ent_…\n" in snippet("bundler", is_anonymous=False)
