"""Upstreams behind the hosted layer: verified before kept, one origin per version, trouble never taken for absence."""

import asyncio
import hashlib

import pytest

from gateway.config import Config, UpstreamConfig
from gateway.upstream.registry import build_upstreams
from tests.conftest import StartGateway, public
from tests.fakes.faults import answer, limited, truncate
from tests.fakes.maven import library, metadata
from tests.fakes.upstream import FaultyUpstream
from tests.maven.asking import BASE, Client, hex_of, text, texts
from tests.maven.conftest import Open

TOOL = "com/acme/tool/"
JAR = f"{TOOL}1.0/tool-1.0.jar"
POM = f"{TOOL}1.0/tool-1.0.pom"
UP = f"/maven2/{TOOL}"


def paths(fake: FaultyUpstream) -> list[str]:
    return [seen.plain_path.removeprefix("/maven2/") for seen in fake.seen]


async def test_a_file_is_fetched_and_verified_once_and_served_ever_after(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        (made,) = fake.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(fake.config("maven"))

        found = [await jvm.get(JAR) for _ in range(3)]
        summed = await jvm.get(f"{JAR}.sha512")

        assert {reply.body for reply in found} == {made.body}
        assert {reply.headers["X-Checksum-Sha1"] for reply in found} == {hex_of(made.body)}
        assert {reply.headers["ETag"] for reply in found} == {found[0].headers["ETag"]}
        assert found[0].headers["X-Gateway-Decision"] == "upstream:one"
        assert summed.body == hex_of(made.body, "sha512").encode()
        assert sorted(paths(fake)) == [JAR, f"{JAR}.sha1"]


async def test_fifty_first_readers_cost_one_request(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        (made,) = fake.maven("com.acme:tool", {"1.0": library(size=400_000)})
        jvm = await behind(fake.config("maven"))

        found = await asyncio.gather(*(jvm.get(JAR) for _ in range(50)))

        assert {hashlib.sha1(reply.body).hexdigest() for reply in found} == {hex_of(made.body)}
        assert paths(fake).count(JAR) == 1


async def test_hashes_in_the_answers_headers_save_the_request_for_a_sidecar(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        body = library().build("com.acme:tool", "1.0").body
        fake.serve(f"{UP}1.0/tool-1.0.jar", body, headers={"X-Checksum-SHA1": hex_of(body)})
        fake.serve(f"{UP}1.0/tool-1.0-sources.jar", body, headers={"x-checksum-md5": hex_of(b"other", "md5")})
        jvm = await behind(fake.config("maven"))

        good, bad = await jvm.get(JAR), await jvm.get(f"{TOOL}1.0/tool-1.0-sources.jar")

        assert (good.status, bad.status) == (200, 502)
        assert not any(path.endswith(".sha1") for path in paths(fake))


@pytest.mark.parametrize(
    "sidecar",
    [b"0" * 40, b"<html>Forbidden</html>", b"", None],
    ids=["other hash", "a page", "nothing", "no sidecar"],
)
async def test_bytes_that_nobody_vouches_for_are_refused_and_not_kept(behind: Open, sidecar: bytes | None) -> None:
    async with FaultyUpstream() as fake:
        (made,) = fake.maven("com.acme:tool", {"1.0": library()})
        fake.remove(f"{UP}1.0/tool-1.0.jar.md5")
        fake.remove(f"{UP}1.0/tool-1.0.jar.sha1")
        if sidecar is not None:
            fake.serve(f"{UP}1.0/tool-1.0.jar.sha1", sidecar)
        jvm = await behind(fake.config("maven"))

        refused = await jvm.get(JAR)
        fake.serve(f"{UP}1.0/tool-1.0.jar.sha1", hex_of(made.body).upper().encode() + b"  tool-1.0.jar\n")
        mended = await jvm.get(JAR)

        assert refused.status == 502
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert made.body not in refused.body
        assert (mended.status, mended.body) == (200, made.body)


async def test_a_file_that_breaks_off_is_not_kept_and_the_next_one_is_whole(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        (made,) = fake.maven("com.acme:tool", {"1.0": library(size=50_000)})
        jvm = await behind(fake.config("maven", retries=0))
        fake.fault(truncate(100), f"{UP}1.0/tool-1.0.jar")

        refused = await jvm.get(JAR)
        fake.heal()
        found = await jvm.get(JAR)

        assert refused.status in {502, 503}
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert (found.status, found.body) == (200, made.body)


async def test_what_is_cached_is_served_by_the_next_process_without_asking(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (made,) = fake.maven("com.acme:tool", {"1.0": library()})
        config = {"maven": {"acme/jvm": public("one")}}, {"one": fake.config("maven")}
        await Client(await start_gateway(*config)).get(JAR)
        asked = len(fake.seen)

        found = await Client(await start_gateway(*config)).get(JAR)

        assert found.body == made.body
        assert len(fake.seen) == asked


async def test_an_upstream_that_asks_for_patience_is_left_alone_and_what_is_known_is_served(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(fake.config("maven", max_age=0.0))
        await jvm.versions("com.acme:tool")
        fake.fault(limited("60"))
        first = await jvm.get(JAR)
        asked = len(fake.seen)

        again = [await jvm.get(path) for path in (JAR, POM, f"{TOOL}2.0/tool-2.0.jar")]
        known = await jvm.versions("com.acme:tool")

        assert {reply.status for reply in (first, *again)} == {503}
        assert all(1 <= int(reply.headers["Retry-After"]) <= 120 for reply in again)
        assert known == ["1.0"]
        assert len(fake.seen) == asked


async def test_a_page_that_says_forbidden_with_200_is_no_jar(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        fake.serve(f"{UP}1.0/tool-1.0.jar", b"<html>Forbidden</html>", "text/html")
        jvm = await behind(fake.config("maven"))

        assert (await jvm.get(JAR)).status == 502


async def test_a_signature_proves_itself(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.serve(f"{UP}1.0/tool-1.0.jar.asc", b"-----BEGIN PGP SIGNATURE-----")
        jvm = await behind(fake.config("maven"))

        assert (await jvm.get(f"{JAR}.asc")).body == b"-----BEGIN PGP SIGNATURE-----"


async def test_a_large_file_streams_and_is_verified(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        (made,) = fake.maven("com.acme:big", {"1.0": library(size=17 * 1024**2)})
        jvm = await behind(fake.config("maven"))

        summed = await jvm.get("com/acme/big/1.0/big-1.0.jar.sha1")
        first = await jvm.get("com/acme/big/1.0/big-1.0.jar")

        assert summed.body == hex_of(made.body).encode()
        assert hex_of(first.body) == hex_of(made.body)
        assert paths(fake).count("com/acme/big/1.0/big-1.0.jar") == 1


async def test_an_absent_file_is_asked_for_once_and_can_still_be_published(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        jvm = await behind(fake.config("maven"))

        statuses = [(await jvm.get(JAR)).status for _ in range(3)]
        asked = paths(fake)
        made = await jvm.deploy("com.acme:tool", "1.0")

        assert statuses == [404] * 3
        assert asked == [JAR]
        assert (await jvm.get(JAR)).body == made.body


async def test_metadata_is_asked_for_once_whatever_a_client_says_of_caches(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library(), "1.1": library()})
        jvm = await behind(fake.config("maven"))

        for _ in range(3):
            found = await jvm.get(f"{TOOL}maven-metadata.xml", Cache_Control="no-cache, no-store", Pragma="no-cache")
            await jvm.get(JAR, Cache_Control="no-cache")

        assert texts(found.body, "versioning/versions/version") == ["1.0", "1.1"]
        assert text(found.body, "versioning/release") == "1.1"
        listed = f"{TOOL}maven-metadata.xml"
        assert sorted(paths(fake)) == sorted([listed, f"{listed}.sha1", JAR, f"{JAR}.sha1"])


@pytest.mark.parametrize("folder", [TOOL, f"{TOOL}1.0-SNAPSHOT/"])
async def test_metadata_that_is_not_what_its_checksum_says_is_refused_and_not_kept(behind: Open, folder: str) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        body = metadata("com.acme:tool", ["1.0"])
        fake.serve(f"/maven2/{folder}maven-metadata.xml", body, "application/xml")
        fake.serve(f"/maven2/{folder}maven-metadata.xml.sha1", hex_of(b"other").encode())
        jvm = await behind(fake.config("maven"))

        refused = await jvm.get(f"{folder}maven-metadata.xml")
        fake.serve(f"/maven2/{folder}maven-metadata.xml.sha1", hex_of(body).upper().encode() + b"  x\n")
        mended = await jvm.get(f"{folder}maven-metadata.xml")

        assert refused.status == 502
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert mended.status == 200


async def test_what_was_known_is_served_while_metadata_is_not_what_its_checksum_says(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(fake.config("maven", max_age=0.0))
        await jvm.versions("com.acme:tool")

        fake.serve(f"{UP}maven-metadata.xml", metadata("com.acme:tool", ["1.0", "66.6"]), "application/xml")

        assert await jvm.versions("com.acme:tool") == ["1.0"]


@pytest.mark.parametrize("sidecar", [None, b"<html>Forbidden</html>"], ids=["none", "a page"])
async def test_metadata_whose_checksum_nobody_says_is_taken(behind: Open, sidecar: bytes | None) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        fake.remove(f"{UP}maven-metadata.xml.sha1")
        if sidecar is not None:
            fake.serve(f"{UP}maven-metadata.xml.sha1", sidecar)
        jvm = await behind(fake.config("maven"))

        assert await jvm.versions("com.acme:tool") == ["1.0"]


async def test_metadata_of_another_artifact_is_a_lie(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("org.evil:tool", {"1.0": library()})
        fake.pages[f"{UP}maven-metadata.xml"] = fake.pages["/maven2/org/evil/tool/maven-metadata.xml"]
        jvm = await behind(fake.config("maven"))

        assert (await jvm.get(f"{TOOL}maven-metadata.xml")).status == 502


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE metadata [<!ENTITY a "b">]><metadata/>',
        b"<metadata>" * 100_000,
        b"<html>" + b"x" * 1000,
        b"\0",
    ],
    ids=["doctype", "nesting", "a page", "nothing"],
)
async def test_hostile_metadata_is_refused_and_what_was_known_is_served_on(behind: Open, body: bytes) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(fake.config("maven", max_age=0.0))
        await jvm.get(f"{TOOL}maven-metadata.xml")

        fake.serve(f"{UP}maven-metadata.xml", body, "application/xml")
        fake.serve("/maven2/com/acme/new/maven-metadata.xml", body, "application/xml")

        assert (await jvm.get("com/acme/new/maven-metadata.xml")).status == 502
        assert await jvm.versions("com.acme:tool") == ["1.0"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_is_never_absence(behind: Open, status: int) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(fake.config("maven"))
        served = await jvm.get(POM)
        await jvm.versions("com.acme:tool")
        fake.fault(answer(status))

        refused = await jvm.get(JAR)
        again = await jvm.get(JAR)

        assert (refused.status, again.status) == (503, 503)
        assert 1 <= int(refused.headers["Retry-After"]) <= 120
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert (await jvm.get(POM)).body == served.body
        assert await jvm.versions("com.acme:tool") == ["1.0"]


async def test_a_refusal_by_an_upstream_is_403(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.fault(answer(403))
        jvm = await behind(fake.config("maven"))

        refused = await jvm.get(JAR)

        assert refused.status == 403
        assert refused.reason.startswith("Blocked")


async def test_hosted_files_do_not_feel_an_upstream_that_is_gone(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        config = fake.config("maven")
    jvm = await behind(config)

    made = await jvm.deploy("com.acme:tool", "1.0")

    assert (await jvm.get(JAR)).body == made.body
    assert await jvm.versions("com.acme:tool") == ["1.0"]


# ── whose a name is ──────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_claimed_namespace_is_ours_before_its_first_publish_and_nobody_is_told_its_name(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"99.0": library()})
        fake.maven("com.acme.more:tool", {"99.0": library()})
        jvm = await behind(fake.config("maven"), reserve=("com.acme.**",))
        evil = [
            f"{TOOL}99.0/tool-99.0.jar",
            f"{TOOL}99.0/tool-99.0.pom.sha1",
            f"{TOOL}maven-metadata.xml",
            "com/acme/maven-metadata.xml",
            "com/acme/more/maven-metadata.xml",
            "com/acme/more/tool/maven-metadata.xml",
            "com/acme/more/tool/99.0/tool-99.0.jar",
            f"{TOOL}1-SNAPSHOT/maven-metadata.xml",
            f"{TOOL}1-SNAPSHOT/tool-1-SNAPSHOT.jar",
        ]

        before = [(await jvm.get(path)).status for path in evil]
        await jvm.deploy("com.acme:tool", "1.0")
        after = [(await jvm.get(path)).status for path in evil if path != f"{TOOL}maven-metadata.xml"]
        unclaimed = await jvm.get("com/acme/more/tool/99.0/tool-99.0.jar")

        assert unclaimed.headers["X-Gateway-Decision"] == "namespace"
        assert set(before) | set(after) == {404}
        assert await jvm.versions("com.acme:tool") == ["1.0"]
        assert fake.count() == 0


async def test_a_group_pattern_closes_the_groups_folder_as_well(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        jvm = await behind(fake.config("maven"), reserve=("com.acme:*",))

        assert (await jvm.get("com/acme/maven-metadata.xml")).status == 404
        assert fake.count() == 0


async def test_a_hosted_artifact_shadows_the_upstreams_and_the_refusal_says_why(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"99.0": library()})
        jvm = await behind(fake.config("maven"))
        await jvm.deploy("com.acme:tool", "1.0")

        refused = await jvm.get(f"{TOOL}99.0/tool-99.0.jar")

        assert refused.status == 404
        assert b"no upstream is asked, since the name is published" in refused.body
        assert refused.headers["X-Gateway-Decision"] == "shadowed"
        assert await jvm.versions("com.acme:tool") == ["1.0"]
        assert fake.count() == 0


async def test_a_name_that_an_upstream_serves_is_not_published_without_a_claim(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(fake.config("maven"))
        await jvm.get(JAR)

        refused = await jvm.put(f"{TOOL}2.0/tool-2.0.pom", b"<project/>")

        assert refused.status == 403
        assert "claim" in (await refused.json())["detail"]


async def test_a_version_comes_from_one_upstream(behind: Open) -> None:
    async with FaultyUpstream() as first, FaultyUpstream() as second:
        first.maven("com.acme:tool", {"1.0": library()})
        first.remove(f"{UP}1.0/tool-1.0.jar")
        second.maven("com.acme:tool", {"1.0": library()})
        second.maven("com.acme:other", {"1.0": library()})
        jvm = await behind(first.config("maven"), second.config("maven"))

        pom = await jvm.get(POM)
        jar = await jvm.get(JAR)
        other = await jvm.get("com/acme/other/1.0/other-1.0.jar")

        assert (pom.headers["X-Gateway-Decision"], jar.status) == ("upstream:one", 404)
        assert other.headers["X-Gateway-Decision"] == "upstream:two"
        assert JAR not in paths(second)


async def test_an_upstream_is_asked_only_for_what_its_filters_let_through(behind: Open) -> None:
    async with FaultyUpstream() as first, FaultyUpstream() as second:
        first.maven("androidx.core:core", {"1.0": library()})
        second.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(
            first.config("maven", include=("androidx.**",)), second.config("maven", exclude=("androidx.**",))
        )

        core = await jvm.get("androidx/core/core/1.0/core-1.0.jar")
        tool = await jvm.get(JAR)
        missing = await jvm.get("androidx/none/none/1.0/none-1.0.jar")

        assert (core.status, tool.status, missing.status) == (200, 200, 404)
        assert not any(path.startswith("com/acme") for path in paths(first))
        assert not any(path.startswith("androidx") for path in paths(second))


# ── together ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_merged_names_unite_every_upstream_and_each_version_has_one_origin(behind: Open) -> None:
    async with FaultyUpstream() as first, FaultyUpstream() as second:
        (theirs,) = first.maven("com.acme:tool", {"1.0": library(size=1)})
        first.maven("com.acme:tool", {"1.0": library(size=1), "1.10": library()})
        second.maven("com.acme:tool", {"1.10": library(size=2), "1.9": library()})
        jvm = await behind(first.config("maven"), second.config("maven"), merge=("com.acme:tool",))
        made = await jvm.deploy("com.acme:tool", "1.0")

        found = (await jvm.get(f"{TOOL}maven-metadata.xml")).body
        newest = await jvm.get(f"{TOOL}1.10/tool-1.10.jar")
        older = await jvm.get(f"{TOOL}1.9/tool-1.9.jar")

        assert texts(found, "versioning/versions/version") == ["1.0", "1.9", "1.10"]
        assert text(found, "versioning/release") == "1.10"
        assert (await jvm.get(JAR)).body == made.body != theirs.body
        assert newest.headers["X-Gateway-Decision"] == "upstream:one"
        assert older.headers["X-Gateway-Decision"] == "upstream:two"


async def test_a_merge_that_lacks_a_member_says_so_and_is_whole_again_when_it_is_back(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"2.0": library()})
        jvm = await behind(fake.config("maven"), merge=("com.acme:tool",))
        fake.fault(answer(500))
        made = library().build("com.acme:tool", "1.0")
        await jvm.put(POM, made.metadata or b"")
        await jvm.put(JAR, made.body)

        partial = await jvm.get(f"{TOOL}maven-metadata.xml")
        fake.heal()
        jvm.gateway.services.client.forgive()

        assert texts(partial.body, "versioning/versions/version") == ["1.0"]
        assert "one" in partial.headers["Warning"]
        assert await jvm.versions("com.acme:tool") == ["1.0", "2.0"]


async def test_a_member_in_trouble_never_shrinks_a_list_that_was_known(behind: Open) -> None:
    async with FaultyUpstream() as first, FaultyUpstream() as second:
        first.maven("com.acme:tool", {"1.0": library()})
        second.maven("com.acme:tool", {"2.0": library()})
        jvm = await behind(
            first.config("maven", max_age=0.0), second.config("maven", max_age=0.0), merge=("com.acme:tool",)
        )
        before = await jvm.versions("com.acme:tool")
        second.fault(answer(500))

        assert before == await jvm.versions("com.acme:tool") == ["1.0", "2.0"]


async def test_a_group_of_repositories_is_one_list_with_releases_and_snapshots(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("org.public:lib", {"3.0": library()})
        fake.maven("com.acme:tool", {"99.0": library()})
        gateway = await start_gateway(
            {
                "maven": {
                    "acme/releases": public("hosted"),
                    "acme/snapshots": public("hosted"),
                    "acme/jvm": public("acme/releases", "acme/snapshots", "one"),
                }
            },
            {"one": fake.config("maven")},
        )
        token = await gateway.token()
        releases, snapshots = (Client(gateway, token, f"maven/acme/{name}/") for name in ("releases", "snapshots"))
        everything = Client(gateway, token, BASE)
        made = await releases.deploy("com.acme:tool", "1.0")
        await snapshots.deploy_snapshot("com.acme:tool", "1.1", "20240102.030405", 1)

        assert await everything.versions("com.acme:tool") == ["1.0", "1.1-SNAPSHOT"]
        assert (await everything.get(JAR)).body == made.body
        assert (await everything.get(f"{TOOL}1.1-SNAPSHOT/maven-metadata.xml")).status == 200
        assert (await everything.get(f"{TOOL}1.1-SNAPSHOT/tool-1.1-20240102.030405-1.jar")).status == 200
        assert (await everything.get("org/public/lib/3.0/lib-3.0.jar")).status == 200
        assert not any("com/acme" in path for path in paths(fake))


async def test_an_upstreams_snapshots_are_read_from_its_own_metadata(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        body = (
            b'<metadata modelVersion="1.1.0"><groupId>com.acme</groupId><artifactId>tool</artifactId>'
            b"<version>1.0-SNAPSHOT</version><versioning><snapshot><timestamp>20240102.030405</timestamp>"
            b"<buildNumber>3</buildNumber></snapshot></versioning></metadata>"
        )
        fake.serve(f"{UP}1.0-SNAPSHOT/maven-metadata.xml", body, "application/xml")
        jvm = await behind(fake.config("maven"))

        found = await jvm.get(f"{TOOL}1.0-SNAPSHOT/maven-metadata.xml")

        assert found.body == body
        assert found.headers["X-Checksum-Sha1"] == hex_of(body)


async def test_an_upstreams_plugin_prefixes_are_passed_on_beside_ours(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.serve(
            "/maven2/org/apache/plugins/maven-metadata.xml",
            b"<metadata><plugins><plugin><name>C</name><prefix>compiler</prefix>"
            b"<artifactId>maven-compiler-plugin</artifactId></plugin></plugins></metadata>",
            "application/xml",
        )
        jvm = await behind(fake.config("maven"))

        found = await jvm.get("org/apache/plugins/maven-metadata.xml")

        assert texts(found.body, "plugins/plugin/prefix") == ["compiler"]


async def test_presets_know_what_their_registries_have() -> None:
    upstreams = build_upstreams(
        Config(upstreams={"mirror": UpstreamConfig(type="maven", url="https://mirror.test/m/")})
    )

    google, plugins = upstreams["google-maven"], upstreams["gradle-plugins"]
    assert google.admits("androidx.core:core")
    assert google.admits("com.android.tools.build:gradle")
    assert not google.admits("org.springframework:spring-core")
    assert plugins.admits("com.acme.thing:com.acme.thing.gradle.plugin")
    assert upstreams["maven-central"].admits("org.springframework:spring-core")
    assert upstreams["mirror"].admits("anything:else")


# ── what an upstream says that it has ────────────────────────────────────────────────────────────────────────────
async def test_an_upstream_is_not_told_of_names_that_it_says_it_does_not_have(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.serve("/maven2/.meta/prefixes.txt", b"## repository-prefixes/2.0\n/org/public\n/junit\n", "text/plain")
        fake.maven("org.public:lib", {"1.0": library()})
        fake.maven("junit:junit", {"1.0": library()})
        jvm = await behind(fake.config("maven", prefixes=True))

        statuses = [
            (await jvm.get(path)).status
            for path in (
                "org/public/lib/1.0/lib-1.0.jar",
                "junit/junit/maven-metadata.xml",
                JAR,
                f"{TOOL}maven-metadata.xml",
                f"{TOOL}1-SNAPSHOT/maven-metadata.xml",
                "org/publicity/lib/1.0/lib-1.0.jar",
            )
        ]

        assert statuses == [200, 200, 404, 404, 404, 404]
        assert paths(fake).count(".meta/prefixes.txt") == 1
        assert not any("acme" in path or "publicity" in path for path in paths(fake))


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"<html></html>",
        b"/org/public\n",
        b"## repository-prefixes/2.0\n@ unsupported\n",
        b"## repository-prefixes/2.0\n",
    ],
)
async def test_what_says_nothing_of_prefixes_hides_nothing(behind: Open, body: bytes | None) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        if body is not None:
            fake.serve("/maven2/.meta/prefixes.txt", body, "text/plain")
        jvm = await behind(fake.config("maven", prefixes=True))

        assert (await jvm.get(JAR)).status == 200
        assert (await jvm.get(".meta/prefixes.txt")).status == 404


async def test_prefixes_that_are_refused_are_not_asked_for_with_every_file(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("com.acme:tool", {"1.0": library()})
        fake.fault(answer(403), "/maven2/.meta/prefixes.txt")
        jvm = await behind(fake.config("maven", prefixes=True))

        statuses = [(await jvm.get(path)).status for path in (JAR, POM, f"{TOOL}maven-metadata.xml")]

        assert statuses == [200, 200, 200]
        assert paths(fake).count(".meta/prefixes.txt") == 1


async def test_a_redirect_to_a_permitted_host_is_followed_and_never_told(behind: Open) -> None:
    async with FaultyUpstream() as portal, FaultyUpstream() as central:
        (made,) = central.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(portal.config("maven", hosts=(central.authority,)))
        for path in (JAR, f"{JAR}.sha1"):
            target = {"Location": f"{central.maven_url}{path}"}
            portal.fault(answer(303, headers=target), f"/maven2/{path}")

        found = await jvm.get(JAR)

        assert (found.status, found.body) == (200, made.body)
        assert "Location" not in found.headers


async def test_a_redirect_to_another_upstream_is_that_ones_file_and_outlives_who_redirected(behind: Open) -> None:
    async with FaultyUpstream() as portal, FaultyUpstream() as central:
        (made,) = central.maven("com.acme:tool", {"1.0": library()})
        jvm = await behind(portal.config("maven", hosts=(central.authority,)), central.config("maven"))
        portal.fault(answer(303, headers={"Location": f"{central.maven_url}{JAR}"}), f"/maven2/{JAR}")

        found = await jvm.get(JAR)
        portal.fault(answer(500))
        later = [await jvm.get(JAR), await jvm.get(f"{JAR}.sha1")]

        assert (found.status, found.body) == (200, made.body)
        assert [reply.status for reply in later] == [200, 200]
        assert {reply.headers["X-Gateway-Decision"] for reply in later} == {"upstream:two"}
        assert paths(portal) == [JAR]
        assert sorted(paths(central)) == [JAR, f"{JAR}.sha1"]


async def test_a_redirect_never_makes_us_show_credentials_that_this_repository_was_not_given(
    start_gateway: StartGateway,
) -> None:
    async with FaultyUpstream() as portal, FaultyUpstream() as inner:
        inner.maven("com.acme:tool", {"1.0": library()})
        upstreams = {
            "one": portal.config("maven", hosts=(inner.authority,)),
            "inner": inner.config("maven", token="s3cret"),
        }
        jvm = Client(await start_gateway({"maven": {"acme/jvm": public("one")}}, upstreams))
        portal.fault(answer(303, headers={"Location": f"{inner.maven_url}{JAR}"}), f"/maven2/{JAR}")

        await jvm.get(JAR)

        assert paths(inner) == [JAR]
        assert "authorization" not in inner.seen[0].headers
