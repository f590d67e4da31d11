"""gem and bundler of both generations publish to a private repository and use what is there."""

import shlex
from collections.abc import Callable, Iterator

import pytest

from tests.clients.asked import Asked
from tests.clients.gateway import DELETE, Gateway
from tests.clients.rubies import (
    GENERATIONS,
    build_gem,
    bundle,
    checksums,
    gem,
    gem_on_a_terminal,
    gemfile,
    locked,
    push,
    says,
    sha256,
)
from tests.clients.tools import World

pytestmark = pytest.mark.client

REPOSITORY = "rubygems/acme/gems"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(tmp_path_factory.mktemp("log") / "access.log", REPOSITORY)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, asked: Asked) -> Iterator[Gateway]:
    repositories = {"rubygems": {"acme/gems": {"layers": ["hosted"]}, "acme/empty": {"layers": ["hosted"]}}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, settings=asked.settings) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token("acme", DELETE)


@pytest.fixture(scope="module")
def reader(gateway: Gateway) -> str:
    return gateway.token("acme")


@pytest.fixture(params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def host(gateway: Gateway) -> str:
    """As people type it: without a slash at the end."""
    return gateway.base(REPOSITORY).rstrip("/")


def test_a_gem_that_was_built_and_pushed_is_installed_by_both_tools(
    generation: int, gateway: Gateway, host: str, token: str, reader: str, new_world: Callable[[], World]
) -> None:
    publisher, user, machine = new_world(), new_world(), new_world()
    names = f"acme-tool{generation}", f"acme-base{generation}"
    files = [
        build_gem(publisher, names[1], "1.2.0", generation=generation),
        build_gem(publisher, names[0], "1.0.0", dependencies={names[1]: "~> 1.0"}, generation=generation),
    ]

    said = [push(publisher, generation, file, host, token).succeeded().stdout for file in files]

    assert f"Successfully registered gem: {names[0]} (1.0.0)" in said[1]
    source = gateway.base(REPOSITORY, reader)
    installed = gem(machine, generation, "install", names[0], "--no-document", source=source).succeeded()
    assert "2 gems installed" in installed.stdout
    gemfile(user, source, f'"{names[0]}"')
    bundle(user, generation, "install").succeeded()
    assert locked(user) == {names[0]: "1.0.0", names[1]: "1.2.0"}
    assert says(user, generation, names[0]) == f"{names[0]} 1.0.0"
    if generation == 4:
        bundle(user, generation, "lock", "--add-checksums").succeeded()
        assert checksums(user).get(names[1]) == sha256(files[0])


def test_the_same_bytes_may_be_pushed_again_and_others_may_not(
    generation: int, host: str, token: str, world: World
) -> None:
    file = build_gem(world, f"twice{generation}")
    push(world, generation, file, host, token).succeeded()

    again = push(world, generation, file, host, token)
    other = push(world, generation, build_gem(world, f"twice{generation}", content="else"), host, token)

    assert "already pushed" in again.succeeded().stdout
    assert "Repushing of gem versions is not allowed" in other.failed().text


def test_a_token_that_may_only_read_is_told_so_and_asked_for_nothing(
    generation: int, host: str, reader: str, world: World
) -> None:
    refused = push(world, generation, build_gem(world, "forbidden"), host, reader).failed()

    assert "write" in refused.text
    assert "password" not in refused.text.lower()


def test_a_key_that_nobody_made_is_refused(generation: int, host: str, world: World) -> None:
    refused = push(world, generation, build_gem(world, "stranger"), host, "ent_nobodyhasthiskey").failed()

    assert "key" in refused.text.lower() or "token" in refused.text.lower()
    assert "OTP" not in refused.text


@pytest.mark.parametrize("form", ["Bearer {}", "{}"])
def test_a_key_is_accepted_with_and_without_its_scheme(form: str, host: str, token: str, world: World) -> None:
    file = build_gem(world, "scheme", "1.0.1" if form == "{}" else "1.0.0")

    push(world, 3, file, host, form.format(token)).succeeded()


def test_the_host_may_be_typed_with_a_slash_at_its_end(generation: int, host: str, token: str, world: World) -> None:
    said = push(world, generation, build_gem(world, f"slash{generation}"), f"{host}/", token).succeeded().stdout

    assert "Successfully registered gem" in said


def test_a_host_that_holds_a_name_and_a_password_takes_the_key(
    generation: int, host: str, token: str, world: World
) -> None:
    file = build_gem(world, f"userinfo{generation}")

    said = push(world, generation, file, host.replace("://", "://somebody:secret@"), token).succeeded().stdout

    assert "Successfully registered gem" in said


def test_a_yanked_version_is_gone_for_good_and_the_other_platform_stays(
    generation: int, gateway: Gateway, host: str, token: str, world: World
) -> None:
    name = f"yanked{generation}"
    plain = build_gem(world, name, "1.0.0")
    for file in (plain, build_gem(world, name, "1.0.0", platform="java"), build_gem(world, name, "0.9.0")):
        push(world, generation, file, host, token).succeeded()

    gem(world, generation, "yank", name, "-v", "1.0.0", "--host", host, key=token).succeeded()

    gemfile(world, gateway.base(REPOSITORY, token), f'"{name}"')
    bundle(world, generation, "install").succeeded()
    assert locked(world)[name] == "0.9.0"
    files = {
        status: gateway.get(f"/{REPOSITORY}/gems/{name}-1.0.0{suffix}.gem", token=token)[0]
        for status, suffix in ((404, ""), (200, "-java"))
    }
    assert files == {404: 404, 200: 200}
    assert push(world, generation, plain, host, token).failed()
    unknown = gem(world, generation, "yank", name, "-v", "7.7.7", "--host", host, key=token)
    assert f"7.7.7 of {name} does not exist" in unknown.text


def test_the_index_of_the_old_days_lists_finds_and_fetches(
    generation: int, gateway: Gateway, host: str, token: str, world: World
) -> None:
    name = f"listed{generation}"
    for version in ("1.0.0", "1.1.0", "2.0.0.beta"):
        needed = {"acme-base": ">= 1"} if version == "1.1.0" else {}
        push(world, generation, build_gem(world, name, version, dependencies=needed), host, token).succeeded()
    source = gateway.base(REPOSITORY, token)

    def ask(*arguments: str) -> str:
        return gem(world, generation, *arguments, source=source).succeeded().stdout

    assert f"{name} (1.1.0)" in ask("list", "--remote", name)
    assert f"{name} (1.1.0, 1.0.0)" in ask("search", "--all", name)
    assert f"{name} (2.0.0.beta)" in ask("search", "--pre", name)
    assert "homepage: https://acme.example" in ask("specification", "--remote", name, "-v", "1.1.0")
    assert "acme-base (>= 1)" in ask("dependency", "--remote", name, "-v", "1.1.0")
    push(world, generation, build_gem(world, name, "1.1.0", platform="java"), host, token).succeeded()
    built_for_java = ask("specification", "--remote", name, "-v", "1.1.0", "--platform", "java")
    assert "platform: java\n" in built_for_java
    ask("fetch", name, "-v", "1.0.0")
    assert (world.work / f"{name}-1.0.0.gem").is_file()


def test_an_update_after_a_push_brings_the_new_version_and_nothing_else(
    generation: int, gateway: Gateway, asked: Asked, host: str, token: str, world: World
) -> None:
    name = f"updated{generation}"
    push(world, generation, build_gem(world, name, "1.0.0"), host, token).succeeded()
    gemfile(world, gateway.base(REPOSITORY, token), f'"{name}", "~> 1.0"')
    asked.entries(gateway)
    bundle(world, generation, "install").succeeded()
    first = asked.requests(gateway)
    bundle(world, generation, "update", name).succeeded()
    nothing_new = asked.requests(gateway)

    for version in ("1.5.0", "2.0.0"):
        push(world, generation, build_gem(world, name, version), host, token).succeeded()
    asked.entries(gateway)
    bundle(world, generation, "update", name).succeeded()
    rest = asked.requests(gateway)

    assert locked(world)[name] == "1.5.0"
    info = ("GET", f"info/{name}")
    assert first == [("GET", "versions", 200), (*info, 200), ("GET", f"gems/{name}-1.0.0.gem", 200)]
    assert nothing_new == [("GET", "versions", 304)]
    assert rest == [("GET", "versions", 206), (*info, 206), ("GET", f"gems/{name}-1.5.0.gem", 200)]


def test_a_client_that_holds_more_than_there_is_begins_the_list_anew(
    generation: int, gateway: Gateway, asked: Asked, host: str, token: str, world: World
) -> None:
    name = f"longer{generation}"
    push(world, generation, build_gem(world, name, "1.0.0"), host, token).succeeded()
    gemfile(world, gateway.base(REPOSITORY, token), f'"{name}"')
    bundle(world, generation, "install").succeeded()
    (held,) = world.home.rglob("compact_index/*/versions")
    with held.open("ab") as file:
        file.write(b"nothing 1.0 0123456789abcdef0123456789abcdef\n" * 100)
    for etag in world.home.rglob("compact_index/*/versions-etags/*"):
        etag.write_text('"of another list"')
    push(world, generation, build_gem(world, name, "1.1.0"), host, token).succeeded()
    asked.entries(gateway)

    bundle(world, generation, "update", name).succeeded()

    assert locked(world)[name] == "1.1.0"
    lists = [status for _, path, status in asked.requests(gateway) if path == "versions"]
    assert (lists[0], lists[-1]) == (416, 200)


def test_gem_asks_for_the_compact_index_and_one_gemspec(
    generation: int, gateway: Gateway, asked: Asked, host: str, token: str, world: World
) -> None:
    name = f"asked{generation}"
    for platform in ("ruby", "java"):
        push(world, generation, build_gem(world, name, platform=platform), host, token).succeeded()
    asked.entries(gateway)

    gem(world, generation, "install", name, "--no-document", source=gateway.base(REPOSITORY, token)).succeeded()

    assert asked.requests(gateway) == [
        ("HEAD", "" if generation == 3 else "versions", 200),
        ("GET", f"info/{name}", 200),
        ("GET", f"quick/Marshal.4.8/{name}-1.0.0.gemspec.rz", 200),
        ("GET", f"gems/{name}-1.0.0.gem", 200),
    ]


def test_an_empty_repository_has_no_gems_rather_than_no_index(
    generation: int, gateway: Gateway, token: str, world: World
) -> None:
    gemfile(world, gateway.base("rubygems/acme/empty", token), '"acme-tool"')

    said = bundle(world, generation, "install").failed().text

    assert "Could not find gem 'acme-tool'" in said


def test_without_credentials_bundler_says_how_to_give_them(generation: int, gateway: Gateway, world: World) -> None:
    gemfile(world, gateway.base(REPOSITORY), '"acme-tool"')
    asked = bundle(world, generation, "install").failed().text
    gemfile(world, gateway.base(REPOSITORY, "ent_nobodyhasthiskey"), '"acme-tool"')
    refused = bundle(world, generation, "install").failed().text

    assert "bundle config set" in asked
    assert "Bad username or password" in refused


@pytest.mark.parametrize("how", ["host", "address", "environment"])
def test_credentials_may_stand_in_bundlers_configuration(
    how: str, generation: int, gateway: Gateway, host: str, token: str, reader: str, world: World
) -> None:
    name = f"configured{generation}{how}"
    push(world, 3, build_gem(world, name), host, token).succeeded()
    gemfile(world, gateway.base(REPOSITORY), f'"{name}"')
    secret = f"__token__:{reader}"
    environment = {"BUNDLE_127__0__0__1": secret} if how == "environment" else {}
    if how != "environment":
        of = "127.0.0.1" if how == "host" else gateway.base(REPOSITORY)
        bundle(world, generation, "config", "set", "--global", of, secret).succeeded()

    bundle(world, generation, "install", environment=environment).succeeded()

    assert locked(world) == {name: "1.0.0"}


def test_the_pasted_configuration_works(
    generation: int, gateway: Gateway, host: str, token: str, reader: str, world: World
) -> None:
    name = f"pasted{generation}"
    push(world, 3, build_gem(world, name), host, token).succeeded()
    pasted = gateway.cli("snippet", "bundler", "acme/gems", "--config", str(gateway.config)).succeeded().stdout
    source = next(line for line in pasted.splitlines() if line.startswith("source "))
    command = next(line for line in pasted.splitlines() if line.startswith("bundle config "))
    (world.work / "Gemfile").write_text(f'{source}\ngem "{name}"\n')

    bundle(world, generation, *shlex.split(command.replace("ent_…", reader))[1:]).succeeded()
    bundle(world, generation, "install").succeeded()

    assert locked(world) == {name: "1.0.0"}


def test_a_lock_file_with_checksums_installs_on_another_machine(
    gateway: Gateway, host: str, token: str, reader: str, new_world: Callable[[], World]
) -> None:
    first, second = new_world(), new_world()
    file = build_gem(first, "summed")
    push(first, 4, file, host, token).succeeded()
    gemfile(first, gateway.base(REPOSITORY, reader), '"summed"')
    bundle(first, 4, "install").succeeded()
    for name in ("Gemfile", "Gemfile.lock"):
        (second.work / name).write_bytes((first.work / name).read_bytes())

    bundle(second, 4, "install", environment={"BUNDLE_FROZEN": "true"}).succeeded()

    assert checksums(second) == {"summed": sha256(file)}


def test_a_mirror_is_used_and_the_lock_file_keeps_the_address_that_it_mirrors(
    generation: int, gateway: Gateway, host: str, token: str, reader: str, world: World
) -> None:
    name, public = f"mirrored{generation}", "http://gems.example.org/"
    push(world, 3, build_gem(world, name), host, token).succeeded()
    gemfile(world, public, f'"{name}"')
    bundle(world, generation, "config", "set", "--global", f"mirror.{public}", gateway.base(REPOSITORY, reader))

    bundle(world, generation, "install").succeeded()

    assert f"remote: {public}" in (world.work / "Gemfile.lock").read_text()


def test_signing_in_stores_a_key_that_publishes(generation: int, host: str, token: str, world: World) -> None:
    environment = {"RUBYGEMS_HOST": host}
    # E-mail address, password and a name for the key; then 3 asks for each scope, 4 whether to choose other ones.
    scopes = "y\ny\nn\nn\nn\nn\nn\n" if generation == 3 else "n\n"
    answers = f"acme\n{token}\nlaptop\n{scopes}"

    signed_in = gem_on_a_terminal(world, generation, "signin", answers=answers, environment=environment).succeeded()

    assert "Signed in" in signed_in.text
    gem(world, generation, "push", "--host", host, build_gem(world, f"signed{generation}")).succeeded()


def test_a_push_that_needs_a_one_time_code_asks_for_it_and_takes_it(
    generation: int, gateway: Gateway, host: str, world: World
) -> None:
    key, code = gateway.one_time_codes(f"cody{generation}", "write", REPOSITORY)
    files = [build_gem(world, f"coded{generation}", f"1.{number}.0") for number in range(3)]

    nobody_types = push(world, generation, files[0], host, key).failed()
    wrong = gem(world, generation, "push", "--host", host, "--otp", "1", files[0], key=key).failed()
    given = gem(world, generation, "push", "--host", host, "--otp", code(0), files[0], key=key).succeeded()
    later = code(1)
    gem(
        world, generation, "push", "--host", host, files[1], key=key, environment={"GEM_HOST_OTP_CODE": later}
    ).succeeded()
    typed = gem_on_a_terminal(
        world,
        generation,
        "push",
        "--host",
        host,
        str(files[2]),
        answers=f"{later}\n",
        environment={"GEM_HOST_API_KEY": key},
    ).succeeded()

    for refused in (nobody_types, wrong):
        assert refused.text.count("Please enter OTP code") == 1
        assert "use an automation token" in refused.text
    assert "Please enter OTP code" not in given.text
    assert "Code:" in typed.text


def test_owners_are_listed_and_shared_with(
    generation: int, gateway: Gateway, host: str, token: str, world: World
) -> None:
    name, mate = f"shared{generation}", f"grace{generation}"
    gateway.token(mate)
    admin = gateway.token("acme", (*DELETE, "admin"))
    push(world, generation, build_gem(world, name), host, token).succeeded()

    def owner(*arguments: str) -> str:
        return gem(world, generation, "owner", name, *arguments, "--host", host, key=admin).succeeded().stdout

    owner("--add", mate)
    shared = owner()
    owner("--remove", mate)

    assert mate in shared
    assert mate not in owner()


def test_an_attestation_travels_with_the_gem(gateway: Gateway, host: str, token: str, world: World) -> None:
    bundle_file = world.work / "bundle.json"
    bundle_file.write_text('{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}')

    options = ["--attestation", bundle_file, "--host", host]
    gem(world, 4, "push", build_gem(world, "attested"), *options, key=token).succeeded()

    status, body = gateway.get(f"/{REPOSITORY}/api/v1/attestations/attested-1.0.0.json", token=token)
    assert status == 200
    assert b"sigstore.bundle" in body
