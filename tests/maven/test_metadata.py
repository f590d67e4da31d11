"""What metadata says of files, whenever they came: pure."""

from datetime import UTC, datetime

import pytest

from adapters.maven import metadata
from gateway.model import File, Listing
from tests.maven.asking import text, texts

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC).timestamp()
PACKAGE = "com.acme:tool"


def file(name: str, *, seconds_ago: float = 3600, **facts: object) -> File:
    moment = datetime.fromtimestamp(NOON - seconds_ago, UTC).isoformat().replace("+00:00", "Z")
    return File(name, name.partition("/")[0], {}, uploaded_at=moment, facts=facts)


def listing(*files: File) -> Listing:
    return Listing(PACKAGE, files)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([file("1/tool-1.pom", packaging="jar"), file("1/tool-1.jar")], ["1"]),
        ([file("1/tool-1.pom", packaging="pom")], ["1"]),
        ([file("1/tool-1.pom", packaging="jar", seconds_ago=10)], []),
        ([file("1/tool-1.pom", packaging="jar", seconds_ago=61)], ["1"]),
        ([file("1/tool-1.pom", packaging="jar", named=True, seconds_ago=10)], ["1"]),
        ([file("1/tool-1.pom", packaging="jar", seconds_ago=10), file("1/tool-1-sources.jar", seconds_ago=10)], []),
        ([file("1/tool-1.pom", packaging="jar", seconds_ago=10), file("1/tool-1.pom.asc", seconds_ago=10)], []),
        ([file("1/tool-1.pom", packaging="jar", seconds_ago=10), file("1/tool-1.module", seconds_ago=10)], []),
        ([file("1/tool-1.pom", packaging="war", seconds_ago=10), file("1/tool-1.war", seconds_ago=10)], ["1"]),
        ([file("1/tool-1.jar"), file("1/ivy-1.xml")], []),
        ([file("1/tool-1.pom", packaging="jar"), file("1/tool-1.jar", doubted=True)], []),
    ],
)
def test_a_version_is_listed_once_it_is_whole(files: list[File], expected: list[str]) -> None:
    assert metadata.listed(listing(*files), NOON) == expected


def test_only_what_waits_for_the_quiet_minute_depends_on_the_time() -> None:
    fresh = file("1/tool-1.pom", packaging="jar", seconds_ago=10)

    assert metadata.waiting(PACKAGE, [fresh], NOON) == ["1"]
    assert metadata.waiting(PACKAGE, [fresh], NOON + 60) == []


def test_files_of_a_version_without_pom_are_abandoned_after_a_day() -> None:
    old, young = file("1/tool-1.jar", seconds_ago=90_000), file("2/tool-2.jar", seconds_ago=80_000)
    kept = [file("3/tool-3.pom", packaging="jar", seconds_ago=90_000), file("3/tool-3.jar", seconds_ago=90_000)]

    assert metadata.abandoned(PACKAGE, [old, young, *kept], NOON) == ["1/tool-1.jar"]


def test_the_same_files_make_the_same_document() -> None:
    files = [file(f"{v}/tool-{v}.pom", packaging="pom", seconds_ago=i) for i, v in enumerate(("1.10", "1.9", "2-rc1"))]

    one = metadata.render_artifact(listing(*files), NOON)
    other = metadata.render_artifact(listing(*reversed(files)), NOON + 1e6)

    assert one.body == other.body
    assert texts(one.body, "versioning/versions/version") == ["1.9", "1.10", "2-rc1"]
    assert text(one.body, "versioning/lastUpdated") == "20240102120000"


def test_markup_in_a_name_stays_text() -> None:
    found = metadata.render_group([metadata.Plugin("a-maven-plugin", "a", "<evil/>&")])

    assert texts(found.body, "plugins/plugin/name") == ["<evil/>&"]


def test_a_classifier_that_the_last_build_lacks_is_the_newest_that_was_there() -> None:
    names = ("20240101.000000-1.pom", "20240101.000000-1.jar", "20240101.000000-1-docs.zip")
    names = (*names, "20240102.000000-2.pom", "20240102.000000-2.jar")
    files = [file(f"1-SNAPSHOT/tool-1-{name}", packaging="jar") for name in names]

    body = metadata.render_snapshots(listing(*files), "1-SNAPSHOT").body

    values = dict(
        zip(
            texts(body, "versioning/snapshotVersions/snapshotVersion/extension"),
            texts(body, "versioning/snapshotVersions/snapshotVersion/value"),
            strict=True,
        )
    )
    assert values == {"pom": "1-20240102.000000-2", "jar": "1-20240102.000000-2", "zip": "1-20240101.000000-1"}
    assert texts(body, "versioning/snapshotVersions/snapshotVersion/classifier") == ["docs"]
