"""What deployments leave behind: files as they were sent, metadata of our own, releases that never change."""

import asyncio
import time
from functools import partial

import pytest

from adapters.maven import checksums
from adapters.maven.wire import MavenFormat
from gateway.config import RepositoryConfig
from gateway.housekeeping import Housekeeping
from tests.conftest import StartGateway, public
from tests.fakes.artifacts import zip_of
from tests.fakes.maven import library, metadata, pom
from tests.maven.asking import ALGORITHMS, Client, hex_of, text, texts
from tests.racing import meet

TOOL = "com/acme/tool/"
JAR = f"{TOOL}1.0/tool-1.0.jar"
POM = f"{TOOL}1.0/tool-1.0.pom"


# ── releases ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_deployed_release_is_listed_and_its_files_are_byte_for_byte_those_that_were_sent(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")

    found = await jvm.get(f"{TOOL}maven-metadata.xml")
    assert (await jvm.get(JAR)).body == made.body
    assert (await jvm.get(POM)).body == made.metadata
    assert texts(found.body, "versioning/versions/version") == ["1.0"]
    assert (text(found.body, "versioning/release"), text(found.body, "versioning/latest")) == ("1.0", "1.0")
    assert {status for method, _, status in jvm.sent if method == "PUT"} == {201}


async def test_the_same_deployment_again_is_a_retry(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")
    jvm.sent.clear()

    await jvm.deploy("com.acme:tool", "1.0", made)

    assert [status for method, path, status in jvm.sent if path in {JAR, POM} and method == "PUT"] == [200, 200]
    assert all(status < 300 for *_, status in jvm.sent)


async def test_other_bytes_under_a_released_name_are_refused_in_words_that_maven_prints(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")

    refused = await jvm.put(JAR, library(size=10).build("com.acme:tool", "1.0").body)

    problem = await refused.json()
    assert refused.status == 409
    assert refused.reason.startswith("Version is immutable")
    assert refused.reason.isascii()
    assert len(refused.reason) <= 80
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["title"]) == (409, "Version is immutable")
    assert hex_of(made.body, "sha256") in problem["detail"]
    assert (await jvm.get(JAR)).body == made.body


async def test_two_deployments_that_overlap_are_both_listed(jvm: Client) -> None:
    await asyncio.gather(jvm.deploy("com.acme:tool", "1.7"), jvm.deploy("com.acme:tool", "1.8"))

    assert await jvm.versions("com.acme:tool") == ["1.7", "1.8"]


async def test_fifty_deployments_at_once_are_all_listed_in_order(jvm: Client) -> None:
    versions = [f"1.{i}" for i in range(50)]

    await asyncio.gather(*(jvm.deploy("com.acme:tool", version) for version in versions))

    found = (await jvm.get(f"{TOOL}maven-metadata.xml")).body
    assert texts(found, "versioning/versions/version") == versions
    assert (text(found, "versioning/latest"), text(found, "versioning/release")) == ("1.49", "1.49")
    assert all(status < 300 or method == "GET" for method, _, status in jvm.sent)


async def test_an_older_release_published_later_is_not_the_newest(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "2.0")
    await jvm.deploy("com.acme:tool", "1.0.5")

    found = (await jvm.get(f"{TOOL}maven-metadata.xml")).body

    assert (text(found, "versioning/latest"), text(found, "versioning/release")) == ("2.0", "2.0")
    assert texts(found, "versioning/versions/version") == ["1.0.5", "2.0"]


async def test_modules_whose_files_arrive_in_any_order_on_five_connections_are_all_listed(jvm: Client) -> None:
    modules = [f"com.acme:part-{i}" for i in range(8)]
    built = {name: library().build(name, "1.0") for name in modules}
    gate = asyncio.Semaphore(5)

    async def put(path: str, body: bytes) -> int:
        async with gate:
            return (await jvm.put_with_sums(path, body)).status

    work = []
    for name, made in built.items():
        at = f"com/acme/{name.partition(':')[2]}/1.0/{made.filename.removesuffix('.jar')}"
        work += [put(f"{at}.jar", made.body), put(f"{at}.pom", made.metadata or b"")]
    statuses = await asyncio.gather(*work)

    assert set(statuses) == {201}
    assert [await jvm.versions(name) for name in modules] == [["1.0"]] * len(modules)


async def test_ivy_which_sends_no_metadata_is_listed_all_the_same(jvm: Client) -> None:
    made = library().build("com.acme:tool", "1.0")

    await jvm.put_with_sums(JAR, made.body)
    await jvm.put_with_sums(POM, made.metadata or b"")
    await jvm.put_with_sums(f"{TOOL}1.0/ivy-1.0.xml", b"<ivy-module/>")

    assert await jvm.versions("com.acme:tool") == ["1.0"]
    assert (await jvm.get(f"{TOOL}1.0/ivy-1.0.xml")).body == b"<ivy-module/>"


async def test_gradle_which_sends_modules_signatures_and_four_checksums_has_each_taken(jvm: Client) -> None:
    made = library().build("com.acme:tool", "1.0")
    signature = b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"

    for path, body in (
        (JAR, made.body),
        (POM, made.metadata or b""),
        (f"{TOOL}1.0/tool-1.0.module", b'{"formatVersion": "1.1"}'),
        (f"{TOOL}1.0/tool-1.0-sources.jar", zip_of({"a": b"b"})),
        (f"{TOOL}1.0/tool-1.0-linux-x86_64.tar.gz", b"\x1f\x8b"),
        (f"{JAR}.asc", signature),
        (f"{POM}.asc", signature),
    ):
        await jvm.put_with_sums(path, body, ALGORITHMS)

    assert {status for *_, status in jvm.sent} == {201}
    assert (await jvm.get(f"{JAR}.asc")).body == signature
    assert (await jvm.get(f"{JAR}.asc.sha1")).body == hex_of(signature).encode()


async def test_a_version_without_its_pom_is_not_listed(jvm: Client) -> None:
    await jvm.put_with_sums(JAR, library().build("com.acme:tool", "1.0").body)
    await jvm.put(f"{TOOL}maven-metadata.xml", metadata("com.acme:tool", ["1.0"]))

    assert await jvm.versions("com.acme:tool") == []


async def test_a_pom_alone_is_listed_once_its_deployers_metadata_names_it(jvm: Client) -> None:
    await jvm.put_with_sums(POM, pom("com.acme:tool", "1.0", packaging="eclipse-plugin"))
    before = await jvm.versions("com.acme:tool")

    await jvm.put(f"{TOOL}maven-metadata.xml", metadata("com.acme:tool", ["1.0"]))

    assert (before, await jvm.versions("com.acme:tool")) == ([], ["1.0"])


async def test_a_parent_pom_needs_no_other_file(jvm: Client) -> None:
    await jvm.put_with_sums(POM, pom("com.acme:tool", "1.0", packaging="pom"))

    assert await jvm.versions("com.acme:tool") == ["1.0"]


# ── what clients say that is not so ──────────────────────────────────────────────────────────────────────────────
async def test_a_wrong_checksum_is_refused_and_takes_the_version_off_the_list_until_it_is_mended(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")

    refused = await jvm.put(f"{JAR}.sha1", "0" * 40)
    doubted = await jvm.versions("com.acme:tool")
    mended = await jvm.put(f"{JAR}.sha1", f"{hex_of(made.body).upper()}  tool-1.0.jar\n")

    assert (refused.status, doubted, mended.status) == (400, [], 201)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert await jvm.versions("com.acme:tool") == ["1.0"]


async def test_checksums_before_their_file_are_held_and_the_right_bytes_are_taken(jvm: Client) -> None:
    body = library().build("com.acme:tool", "1.0").body

    for algorithm in ALGORITHMS:
        assert (await jvm.put(f"{JAR}.{algorithm}", hex_of(body, algorithm))).status == 201

    assert (await jvm.get(f"{JAR}.sha1")).status == 404
    assert (await jvm.put(JAR, body)).status == 201


async def test_checksums_before_the_bytes_that_replace_a_snapshot_are_held_for_these(
    jvm: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{TOOL}1.0-SNAPSHOT/tool-1.0-SNAPSHOT.jar"
    old, new = (library(size=size).build("com.acme:tool", "1.0-SNAPSHOT").body for size in (10, 20))
    await jvm.put_with_sums(path, old)
    soon = await jvm.put(f"{path}.sha1", hex_of(new))
    monkeypatch.setattr(checksums, "_PART_SECONDS", 0.0)

    held = [(await jvm.put(f"{path}.{algorithm}", hex_of(new, algorithm))).status for algorithm in ALGORITHMS]
    between = (await jvm.get(path)).body, (await jvm.get(f"{path}.sha1")).body
    replaced = await jvm.put(path, new)

    assert (soon.status, held, replaced.status) == (400, [201] * 4, 201)
    assert between == (old, hex_of(old).encode())
    assert (await jvm.get(path)).body == new


async def test_bytes_that_replace_a_snapshot_are_held_to_the_checksum_before_them(
    jvm: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{TOOL}1.0-SNAPSHOT/tool-1.0-SNAPSHOT.jar"
    old, new = (library(size=size).build("com.acme:tool", "1.0-SNAPSHOT").body for size in (10, 20))
    await jvm.put_with_sums(path, old)
    monkeypatch.setattr(checksums, "_PART_SECONDS", 0.0)
    await jvm.put(f"{path}.sha1", hex_of(b"other"))

    refused = await jvm.put(path, new)

    assert refused.status == 400
    assert (await jvm.get(path)).body == old


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_file_is_refused_that_is_not_what_the_checksum_before_it_said(jvm: Client, algorithm: str) -> None:
    body = library().build("com.acme:tool", "1.0").body
    await jvm.put(f"{JAR}.{algorithm}", hex_of(b"other", algorithm))

    refused = await jvm.put(JAR, body)
    absent = await jvm.get(JAR)
    after = await jvm.put(f"{JAR}.{algorithm}", hex_of(body, algorithm))
    mended = await jvm.put(JAR, body)

    assert (refused.status, absent.status, after.status, mended.status) == (400, 404, 400, 201)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (await jvm.get(JAR)).body == body


async def test_the_checksum_of_a_refused_file_is_refused_for_the_same_reason(jvm: Client) -> None:
    page = b"<html>Forbidden</html>"

    refused = await jvm.put(JAR, page)
    summed = await jvm.put(f"{JAR}.sha1", hex_of(page))
    mended = await jvm.put_with_sums(JAR, library().build("com.acme:tool", "1.0").body)

    assert (refused.status, summed.status, mended.status) == (400, 400, 201)
    assert (await summed.json())["detail"] == (await refused.json())["detail"]


async def test_the_checksum_of_a_refused_redeployment_casts_no_doubt_on_what_is_published(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")
    other = library(size=10).build("com.acme:tool", "1.0").body

    refused = await jvm.put(JAR, other)
    summed = [(await jvm.put(f"{JAR}.{algorithm}", hex_of(other, algorithm))).status for algorithm in ALGORITHMS]

    assert (refused.status, summed) == (409, [409] * 4)
    assert await jvm.versions("com.acme:tool") == ["1.0"]


async def test_a_checksum_that_is_none_is_refused(jvm: Client) -> None:
    assert (await jvm.put(f"{JAR}.sha1", "<html>")).status == 400


async def test_metadata_of_somebody_else_is_refused_and_checksums_of_metadata_are_taken(jvm: Client) -> None:
    foreign = await jvm.put(f"{TOOL}maven-metadata.xml", metadata("org.evil:tool", ["9"]))
    summed = await jvm.put(f"{TOOL}maven-metadata.xml.sha1", "0" * 40)

    assert (foreign.status, summed.status) == (400, 201)
    assert (await jvm.get(f"{TOOL}maven-metadata.xml")).status == 404


async def test_nothing_of_a_clients_metadata_is_served(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")

    await jvm.put(f"{TOOL}maven-metadata.xml", metadata("com.acme:tool", ["1.0", "66.6"]))

    assert await jvm.versions("com.acme:tool") == ["1.0"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (POM, b"<html>Forbidden</html>"),
        (POM, pom("com.acme:other", "1.0")),
        (POM, pom("org.evil:tool", "1.0")),
        (POM, pom("com.acme:tool", "2.0")),
        (POM, pom("com.acme:tool", "1.0", parent="com.acme:base:${revision}")),
        (POM, b'<!DOCTYPE project [<!ENTITY a "b">]>' + pom("com.acme:tool", "1.0")),
        (POM, b"<project>" * 50_000),
        (JAR, b"<html>Forbidden</html>"),
        (f"{TOOL}1.0/tool-1.0.war", b"no zip"),
        (f"{TOOL}maven-metadata.xml", b"<metadata>" * 50_000),
        (f"{TOOL}maven-metadata.xml", b'<!DOCTYPE metadata SYSTEM "file:///etc/passwd"><metadata/>'),
        (
            "com/acme/tool/${revision}/tool-${revision}.jar".replace("$", "%24")
            .replace("{", "%7B")
            .replace("}", "%7D"),
            b"",
        ),
        ("com/acme/tool/1.0/tool-1.0.jar%3Aads", b"x"),
        (f"{TOOL}1.0/_remote.repositories", b"x"),
        ("archetype-catalog.xml", b"<x/>"),
        (".meta/prefixes.txt", b"x"),
        ("tool-1.0.jar", b"PK\3\4"),
        ("com/acme/..%2f..%2fetc/passwd/1/x", b"x"),
        ("com/acme/%252e%252e/1/x", b"x"),
        ("com/acme/tool/1%00/x", b"x"),
    ],
    ids=range(20),
)
async def test_what_cannot_be_meant_is_refused_and_not_stored(jvm: Client, path: str, body: bytes) -> None:
    refused = await jvm.put(path, body)

    assert refused.status == 400, refused.body
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (await jvm.get(path)).status in {400, 404}


async def test_a_version_made_of_properties_is_taken_at_its_paths_word(jvm: Client) -> None:
    assert (await jvm.put(POM, pom("com.acme:tool", "${revision}"))).status == 201


async def test_coordinates_that_differ_by_case_alone_are_refused(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0-RC1")

    name = await jvm.put("com/acme/Tool/1.0/Tool-1.0.pom", pom("com.acme:Tool", "1.0"))
    version = await jvm.put(f"{TOOL}1.0-rc1/tool-1.0-rc1.pom", pom("com.acme:tool", "1.0-rc1"))

    assert (name.status, version.status) == (409, 409)


@pytest.mark.parametrize(
    "twins",
    [
        (("com.acme:race", "1.0"), ("com.acme:Race", "1.0")),
        (("com.acme:race", "1.0"), ("com.Acme:race", "2.0")),
        (("com.acme:race", "1.0-RC1"), ("com.acme:race", "1.0-rc1")),
    ],
)
async def test_of_coordinates_at_once_that_differ_by_case_alone_one_is_published(
    jvm: Client, monkeypatch: pytest.MonkeyPatch, twins: tuple[tuple[str, str], ...]
) -> None:
    meet(monkeypatch, len(twins))

    done = await asyncio.gather(*(jvm.put(_pom_path(*twin), pom(*twin)) for twin in twins))

    assert sorted(reply.status for reply in done) == [201, 409]
    assert sorted([(await jvm.get(_pom_path(*twin))).status for twin in twins]) == [200, 404]


def _pom_path(package: str, version: str) -> str:
    group, artifact = package.split(":")
    return f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.pom"


async def test_a_method_of_webdav_is_refused_with_those_that_work(jvm: Client) -> None:
    found = await jvm.ask("MKCOL", TOOL)

    assert found.status == 405
    assert {"GET", "HEAD", "PUT"} <= set(found.headers["Allow"].split(", "))


# ── snapshots ────────────────────────────────────────────────────────────────────────────────────────────────────
SNAPSHOT = f"{TOOL}1.0-SNAPSHOT/"


async def test_a_second_build_is_the_one_that_is_advertised_with_files_that_are_there(jvm: Client) -> None:
    await jvm.deploy_snapshot("com.acme:tool", "1.0", "20240102.030405", 1)
    await jvm.deploy_snapshot("com.acme:tool", "1.0", "20240102.030506", 2)

    found = (await jvm.get(f"{SNAPSHOT}maven-metadata.xml")).body
    values = texts(found, "versioning/snapshotVersions/snapshotVersion/value")
    extensions = texts(found, "versioning/snapshotVersions/snapshotVersion/extension")

    assert text(found, "versioning/snapshot/buildNumber") == "2"
    assert text(found, "versioning/snapshot/timestamp") == "20240102.030506"
    assert set(values) == {"1.0-20240102.030506-2"}
    assert sorted(extensions) == ["jar", "pom"]
    for value, extension in zip(values, extensions, strict=True):
        assert (await jvm.get(f"{SNAPSHOT}tool-{value}.{extension}")).status == 200
    assert await jvm.versions("com.acme:tool") == ["1.0-SNAPSHOT"]


async def test_a_build_that_is_not_whole_is_not_advertised(jvm: Client) -> None:
    await jvm.deploy_snapshot("com.acme:tool", "1.0", "20240102.030405", 1)

    for number, missing in ((2, "jar"), (3, "pom")):
        await jvm.deploy_snapshot("com.acme:tool", "1.0", f"20240102.03060{number}", number, skip=missing)

    found = (await jvm.get(f"{SNAPSHOT}maven-metadata.xml")).body
    assert text(found, "versioning/snapshot/buildNumber") == "1"


async def test_a_snapshot_is_never_a_release(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")
    await jvm.deploy_snapshot("com.acme:tool", "1.1", "20240102.030405", 1)

    found = (await jvm.get(f"{TOOL}maven-metadata.xml")).body

    assert (text(found, "versioning/latest"), text(found, "versioning/release")) == ("1.1-SNAPSHOT", "1.0")


async def test_a_literal_snapshot_is_replaced_and_a_unique_one_is_not(jvm: Client) -> None:
    first, second = (library(size=size).build("com.acme:tool", "1.0-SNAPSHOT").body for size in (1, 2))

    for body in (first, second):
        assert (await jvm.put_with_sums(f"{SNAPSHOT}tool-1.0-SNAPSHOT.jar", body)).status == 201
    await jvm.put(f"{SNAPSHOT}tool-1.0-SNAPSHOT.pom", pom("com.acme:tool", "1.0-SNAPSHOT"))
    found = await jvm.get(f"{SNAPSHOT}tool-1.0-SNAPSHOT.jar")
    await jvm.deploy_snapshot("com.acme:tool", "1.0", "20240102.030405", 1)
    unique = await jvm.put(f"{SNAPSHOT}tool-1.0-20240102.030405-1.jar", second)

    assert found.body == second
    assert "no-cache" in found.headers["Cache-Control"]
    assert (await jvm.get(f"{SNAPSHOT}tool-1.0-SNAPSHOT.jar.sha1")).body == hex_of(second).encode()
    assert await jvm.versions("com.acme:tool") == ["1.0-SNAPSHOT"]
    assert unique.status == 409


async def test_old_builds_go_and_what_is_advertised_stays(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": public("hosted", settings={"keep_snapshots": 2})}})
    jvm = Client(gateway, await gateway.token())

    for number in range(1, 6):
        await jvm.deploy_snapshot("com.acme:tool", "1.0", f"20240102.03040{number}", number)
    statuses = [
        (await jvm.get(f"{SNAPSHOT}tool-1.0-20240102.03040{number}-{number}.jar")).status for number in range(1, 6)
    ]

    assert statuses == [404, 404, 404, 200, 200]
    found = (await jvm.get(f"{SNAPSHOT}maven-metadata.xml")).body
    assert text(found, "versioning/snapshot/buildNumber") == "5"


async def test_a_resolve_that_runs_while_builds_come_and_old_ones_go_finds_all_that_was_advertised_to_it(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": public("hosted", settings={"keep_snapshots": 2})}})
    jvm, reader = Client(gateway, await gateway.token()), Client(gateway)
    await jvm.deploy_snapshot("com.acme:tool", "1.0", "20240102.030400", 1)

    for number in range(2, 9):
        found = (await reader.get(f"{SNAPSHOT}maven-metadata.xml")).body
        (value,) = set(texts(found, "versioning/snapshotVersions/snapshotVersion/value"))
        files = [f"{SNAPSHOT}tool-{value}.{extension}" for extension in ("pom", "jar", "jar.sha1")]
        deploying = jvm.deploy_snapshot("com.acme:tool", "1.0", f"20240102.03040{number}", number)
        await asyncio.gather(deploying, *map(reader.get, files))
        for file in files:
            await reader.get(file)

    assert {status for *_, status in reader.sent} == {200}
    assert (await reader.get(f"{SNAPSHOT}tool-1.0-20240102.030400-1.jar")).status == 404


@pytest.mark.parametrize(("policy", "version"), [("releases", "1.0-SNAPSHOT"), ("snapshots", "1.0")])
async def test_a_repository_takes_only_versions_of_its_kind(
    start_gateway: StartGateway, policy: str, version: str
) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": RepositoryConfig(settings={"versions": policy})}})
    jvm = Client(gateway, await gateway.token())

    refused = await jvm.put(f"{TOOL}{version}/tool-{version}.pom", pom("com.acme:tool", version))

    assert refused.status == 400
    assert (await jvm.get(f"{TOOL}{version}/tool-{version}.pom")).status == 404


# ── deleting ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_deleted_version_is_off_the_list_at_once_and_its_name_is_used_up(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")
    await jvm.deploy("com.acme:tool", "2.0")

    deleted = await jvm.delete(f"{TOOL}2.0/")

    assert deleted.status == 204
    assert await jvm.versions("com.acme:tool") == ["1.0"]
    assert (await jvm.get(f"{TOOL}2.0/tool-2.0.jar")).status == 404
    assert (await jvm.delete(f"{TOOL}1.0")).status == 204
    assert (await jvm.get(f"{TOOL}maven-metadata.xml")).status == 404
    assert (await jvm.put(JAR, made.body)).status == 403


async def test_a_deleted_file_is_gone_and_its_bytes_are_collected(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")
    services = jvm.gateway.services

    await jvm.delete(JAR)
    keeper = Housekeeping(services.blob_rows, services.hosted, services.cache, clock=lambda: 4e9)
    done = await keeper.collect()

    assert (await jvm.get(JAR)).status == 404
    gone = {hex_ for removal in done.removals for hex_, _ in removal.blobs}
    assert hex_of(made.body, "sha256") in gone
    assert (await jvm.get(POM)).status == 200


async def test_collection_lets_go_what_never_got_its_pom_and_a_dry_run_says_the_same(jvm: Client) -> None:
    left, shared = (library(size=size).build("com.acme:tool", "1.0").body for size in (1, 2))
    await jvm.put(JAR, left)
    await jvm.put(f"{TOOL}1.1/tool-1.1.jar", shared)
    await jvm.deploy("com.acme:other", "1.0")
    await jvm.put("com/acme/other/1.0/other-1.0-all.jar", shared)
    services, format_ = jvm.gateway.services, MavenFormat()
    keeper = Housekeeping(services.blob_rows, services.hosted, services.cache, clock=lambda: 4e9)
    (repository,) = services.known().values()
    young, old = ({repository.id: partial(format_.abandoned, now=time.time() + days * 86400)} for days in (0.9, 1.1))

    spared = await keeper.collect(abandoned=young, dry_run=True)
    plan = await keeper.collect(abandoned=old, dry_run=True)
    before = await jvm.get(JAR)
    done = await keeper.collect(abandoned=old)

    assert (spared.abandoned, before.status) == ((), 200)
    assert [one.files for one in plan.abandoned] == [("1.0/tool-1.0.jar", "1.1/tool-1.1.jar")]
    assert plan == done
    gone = {hex_ for removal in done.removals for hex_, _ in removal.blobs}
    assert hex_of(left, "sha256") in gone
    assert hex_of(shared, "sha256") not in gone
    assert (await jvm.get(JAR)).status == 404
    assert (await jvm.get("com/acme/other/1.0/other-1.0-all.jar")).body == shared
    assert (await jvm.put(JAR, left)).status == 201


# ── plugins ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def deploy_plugin(jvm: Client, name: str, prefix: str) -> None:
    about = f"<plugin><name>x</name><goalPrefix>{prefix}</goalPrefix></plugin>".encode()
    made = library(packaging="maven-plugin", files={"META-INF/maven/plugin.xml": about}).build(name, "1.0")
    await jvm.deploy(name, "1.0", made)


async def test_a_group_knows_the_prefixes_of_its_plugins(jvm: Client) -> None:
    await deploy_plugin(jvm, "com.acme.build:acme-maven-plugin", "acme")

    found = (await jvm.get("com/acme/build/maven-metadata.xml")).body

    assert texts(found, "plugins/plugin/prefix") == ["acme"]
    assert texts(found, "plugins/plugin/artifactId") == ["acme-maven-plugin"]


async def test_a_folder_that_is_an_artifact_and_a_group_says_both(jvm: Client) -> None:
    await jvm.deploy("com.acme:build", "1.0")
    await deploy_plugin(jvm, "com.acme.build:acme-maven-plugin", "acme")

    found = (await jvm.get("com/acme/build/maven-metadata.xml")).body

    assert texts(found, "plugins/plugin/prefix") == ["acme"]
    assert texts(found, "versioning/versions/version") == ["1.0"]
