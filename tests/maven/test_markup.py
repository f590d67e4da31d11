"""XML from strangers: what a real document never has is refused as soon as it is seen, and costs nothing."""

import resource

import pytest

from adapters.maven.markup import MAX_POM, parse_metadata, parse_pom, plugin_prefix
from gateway.errors import Invalid

BOMB = b'<!DOCTYPE project [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><project><name>&b;</name></project>'


def test_a_pom_is_read_for_its_own_coordinates_and_its_parents() -> None:
    found = parse_pom(
        b'<?xml version="1.0"?><project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        b"<parent><groupId>com.acme</groupId><artifactId>base</artifactId><version>3</version></parent>"
        b"<artifactId> to<!-- x -->ol </artifactId><packaging>war</packaging>"
        b"<build><plugins><plugin><artifactId>other</artifactId></plugin></plugins></build></project>"
    )

    assert (found.group, found.artifact, found.version, found.packaging) == (None, "tool", None, "war")
    assert found.parent == ("com.acme", "base", "3")


def test_metadata_of_all_levels_is_read() -> None:
    found = parse_metadata(
        b"<metadata><groupId>g</groupId><artifactId>a</artifactId><versioning><latest>2</latest><release>1</release>"
        b"<versions><version>1</version><version>2</version></versions><lastUpdated>20240102030405</lastUpdated>"
        b"</versioning><plugins><plugin><name>N</name><prefix>p</prefix><artifactId>p-maven-plugin</artifactId></plugin>"
        b"</plugins></metadata>"
    )

    assert (found.versions, found.latest, found.release) == (["1", "2"], "2", "1")
    assert found.plugins == [("p-maven-plugin", "p", "N")]


def test_a_plugins_prefix_is_its_own_not_one_of_its_parameters() -> None:
    body = b"<plugin><name>x</name><goalPrefix>acme</goalPrefix><mojos><mojo><goalPrefix>no</goalPrefix></mojo></mojos></plugin>"

    assert plugin_prefix(body) == "acme"


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        b'<!DOCTYPE project SYSTEM "file:///etc/passwd"><project/>',
        b'<!DOCTYPE project [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x">%x;]><project/>',
        BOMB.decode().encode("utf-16"),
        b"<project><name>&undefined;</name></project>",
        b"<project>" * 100_000,
        b"<project>" + b"<a>" * 70 + b"</a>" * 70 + b"</project>",
        b"<project>" + b"<a/>" * 300_000 + b"</project>",
        b"<project>" + b"x" * MAX_POM + b"</project>",
        b"<metadata/>",
        b"<project>",
        b"<project/><project/>",
        b"",
        b"\0\0\0\0",
        b"PK\3\4",
        b'<?xml version="1.0" encoding="klingon"?><project/>',
        b"<project><a>" + bytes([0xFF]) + b"</a></project>",
    ],
    ids=range(17),
)
def test_no_document_that_is_none_is_read(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse_pom(body)


def test_a_hundred_megabytes_of_nesting_cost_no_memory() -> None:
    body = b"<a>" * 33_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for read in (parse_pom, parse_metadata, plugin_prefix):
        with pytest.raises(Invalid):
            read(body)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # KiB


def test_a_long_text_is_cut() -> None:
    found = parse_pom(b"<project><name>" + b"x" * 1_000_000 + b"</name></project>")

    assert found.name is not None
    assert len(found.name) <= 4096
