"""Repositories, snippets and the configuration on the command line."""

import pytest


def test_a_repository_is_created_shown_changed_and_deleted(entrepot):
    assert entrepot("repo", "create", "python/acme/tools", "--layer", "hosted", "--layer", "pypi").code == 0
    assert entrepot("repo", "list").out == "pypi/acme/tools\tprivate\thosted pypi\tapi\n"

    assert (
        entrepot(
            "repo",
            "update",
            "pypi/acme/tools",
            "--visibility",
            "public",
            "--reserve",
            "acme-*",
            "--setting",
            "realm=acme",
        ).code
        == 0
    )
    shown = entrepot("repo", "show", "pypi/acme/tools").out

    assert "visibility: public\n" in shown
    assert "layers: hosted, pypi\n" in shown
    assert "reserve: acme-*\n" in shown
    assert "settings: realm=acme\n" in shown
    assert entrepot("repo", "delete", "pypi/acme/tools").code == 0
    assert entrepot("repo", "list").out == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("acme/tools",), "expected type/owner/repository"),
        (("cargo/acme/tools",), "unknown type cargo (known: pypi, python)"),
        (("pypi/../tools",), "not a name for an owner or repository"),
        (("pypi/acme/tools", "--layer", "npm"), "pypi/acme/tools.layers.0: no pypi upstream npm"),
        (
            ("pypi/acme/tools", "--layer", "acme/other"),
            "pypi/acme/tools.layers.0: there is no pypi repository acme/other",
        ),
        (("pypi/acme/tools", "--setting", "strict"), "--setting: expected key=value, got 'strict'"),
        (("pypi/acme/tools", "--visibility", "open"), "--visibility: expected public, internal, private"),
        (("pypi/acme/tools", "--reserve", "Acme-*"), "pypi/acme/tools.reserve.0: 'Acme-*' would match no package"),
    ],
)
def test_a_wrong_repository_is_refused(entrepot, words, complaint):
    result = entrepot("repo", "create", *words)

    assert result.code == 2
    assert complaint in result.err
    assert result.err.count("\n") == 1
    assert entrepot("repo", "list").out == ""


def test_a_repository_is_not_created_twice(entrepot):
    entrepot("repo", "create", "pypi/acme/tools")

    assert entrepot("repo", "create", "pypi/acme/tools", "--visibility", "public").code == 1
    assert "private" in entrepot("repo", "list").out


def test_what_is_published_is_not_deleted_unasked(entrepot):
    entrepot("repo", "create", "pypi/acme/tools")

    result = entrepot("repo", "delete", "pypi/acme/tools", "--with-packages")

    assert (result.code, result.err) == (2, "error: this cannot be undone: add --yes\n")
    assert entrepot("repo", "delete", "pypi/acme/tools", "--with-packages", "--yes").code == 0


def test_a_snippet_infers_the_type_from_the_client(entrepot, tmp_path):
    config = tmp_path / "entrepot.yaml"
    config.write_text("server: {public_url: 'https://pkg.example.com/'}")

    result = entrepot("snippet", "pip", "acme/tools", "--config", config)

    assert result.out == "[global]\nindex-url = https://pkg.example.com/pypi/acme/tools/simple/\n"
    assert result.err == "error: there is no repository pypi/acme/tools yet\n"
    assert entrepot("snippet", "cargo", "acme/tools").err == "error: unknown client 'cargo' (known: pip)\n"


def test_a_good_configuration_is_told_back(entrepot, tmp_path):
    config = tmp_path / "entrepot.yaml"
    config.write_text("repositories: {pypi: {acme/tools: {layers: [hosted, pypi], visibility: internal}}}")

    result = entrepot("check-config", "--config", config)

    assert result.code == 0
    assert "repository pypi/acme/tools: internal, hosted → pypi\n" in result.out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sever: {port: 1}", "sever: unknown key (known: data, server, "),
        ("server: {port: many}", "server.port: expected a whole number, got str"),
        ("log: {level: loud}", "log.level: expected one of debug, info, warning, error, got 'loud'"),
        ("server: {trusted_proxies: [here]}", "trusted_proxies"),
        ("upstreams: {mine: {url: 'ftp://x/', type: pypi}}", "upstreams.mine.url"),
        ("repositories: {cargo: {a/b: {}}}", "repositories.cargo: unknown type"),
        (
            "repositories: {pypi: {a/b: {layers: [nowhere]}}}",
            "repositories.pypi.a/b.layers.0: no pypi upstream nowhere",
        ),
    ],
)
def test_a_wrong_configuration_is_named_with_its_path(entrepot, tmp_path, text, complaint):
    config = tmp_path / "entrepot.yaml"
    config.write_text(text)

    result = entrepot("check-config", "--config", config)

    assert result.code == 2
    assert complaint in result.err
    assert result.err.count("\n") == 1


def test_the_configuration_may_come_from_the_environment(entrepot, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTREPOT_CONFIG", str(tmp_path / "missing.yaml"))

    result = entrepot("user", "list")

    assert (result.code, result.out) == (2, "")
    assert "missing.yaml: cannot be read: No such file or directory" in result.err
