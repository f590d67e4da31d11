"""Client configurations to paste. A single index each: with a second one, pip takes the highest version of either."""

from gateway.adapter import SnippetContext


def pip(context: SnippetContext) -> str:
    trusted = f"trusted-host = {context.host}\n" if context.base.startswith("http://") else ""
    config = f"# pip.conf (pip config debug shows where it is)\n[global]\nindex-url = {context.base}simple/\n{trusted}"
    return config if context.is_anonymous else f"{config}\n{_netrc(context)}"


def uv(context: SnippetContext) -> str:
    name = _name(context)
    variable = name.upper().replace("-", "_")
    return (
        "# pyproject.toml\n"
        f'[[tool.uv.index]]\nname = "{name}"\nurl = "{context.base}simple/"\n'
        f'publish-url = "{context.base}legacy/"\ndefault = true\n\n'
        "# environment\n"
        f"UV_INDEX_{variable}_USERNAME=__token__\nUV_INDEX_{variable}_PASSWORD=ent_…\n\n"
        f"# publish\nuv publish --index {name} --username __token__ --password ent_…\n"
    )


def poetry(context: SnippetContext) -> str:
    name = _name(context)
    return (
        f"poetry source add --priority=primary {name} {context.base}simple/\n"
        f"poetry config repositories.{name} {context.base}legacy/\n"
        f"poetry config http-basic.{name} __token__ ent_…\n"
        f"poetry publish --build -r {name}\n"
    )


def pdm(context: SnippetContext) -> str:
    return (
        "# pyproject.toml; a source named pypi replaces the default one\n"
        f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{context.base}simple/"\n'
        'username = "__token__"\npassword = "${ENTREPOT_TOKEN}"\n\n'
        f"pdm publish --repository {context.base}legacy/ --username __token__ --password ent_…\n"
    )


def twine(context: SnippetContext) -> str:
    name = _name(context)
    return (
        "# ~/.pypirc\n"
        f"[distutils]\nindex-servers = {name}\n\n"
        f"[{name}]\nrepository = {context.base}legacy/\nusername = __token__\npassword = ent_…\n\n"
        f"twine upload -r {name} dist/*\n"
    )


def hatch(context: SnippetContext) -> str:
    return f"hatch publish -r {context.base}legacy/ -u __token__ -a ent_…\n"


def flit(context: SnippetContext) -> str:
    return (
        f"export FLIT_INDEX_URL={context.base}legacy/\n"
        "export FLIT_USERNAME=__token__\nexport FLIT_PASSWORD=ent_…\nflit publish\n"
    )


def _name(context: SnippetContext) -> str:
    return f"{context.owner}-{context.repository}".replace(".", "-").replace("_", "-").lower()


def _netrc(context: SnippetContext) -> str:
    return f"# ~/.netrc\nmachine {context.host.partition(':')[0]}\nlogin __token__\npassword ent_…\n"


SNIPPETS = {"pip": pip, "uv": uv, "poetry": poetry, "pdm": pdm, "twine": twine, "hatch": hatch, "flit": flit}
