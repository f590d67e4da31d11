import pytest

from gateway.model import Digest
from gateway.store.documents import DocumentRows
from gateway.store.packages import Packages
from gateway.store.rows import Attachment, CachedFile, DocumentRow, DocumentsSummary, Edit, NewFileRow, StagedRow

FIRST, SECOND, THIRD = (Digest.of(body) for body in (b"first", b"second", b"third"))


def cached(digest=FIRST, size=100, fetched_at=1000.0):
    return CachedFile(digest, size, {"sha256": digest.hex}, "pypi", fetched_at)


def document(key="simple/requests/", digest=FIRST, **changes):
    values = {
        "upstream": "pypi",
        "key": key,
        "status": 200 if digest else 404,
        "digest": digest,
        "size": 100 if digest else 0,
        "content_type": "text/html",
        "url": "http://upstream/simple/requests/",
        "etag": '"1"',
        "last_modified": "",
        "headers": {"x-serial": "1"},
        "fetched_at": 1000.0,
        "max_age": 600.0,
    }
    return DocumentRow(**{**values, **changes})


async def test_a_document_is_read_back_by_every_process(documents, elsewhere):
    await documents.put(document())

    assert documents.get("pypi", "simple/requests/") == document()
    assert DocumentRows(elsewhere).get("pypi", "simple/requests/") == document()
    assert documents.get("npm", "simple/requests/") is None


async def test_a_new_document_takes_the_place_of_the_one_before(documents):
    await documents.put(document())
    await documents.put(document(digest=SECOND, etag='"2"'))

    assert documents.get("pypi", "simple/requests/") == document(digest=SECOND, etag='"2"')


async def test_a_negative_entry_has_no_bytes(documents, blob_rows):
    await documents.put(document(digest=None))

    assert documents.get("pypi", "simple/requests/") == document(digest=None)
    assert await blob_rows.referenced("cache") == set()


async def test_a_confirmed_document_is_fresh_again(documents):
    await documents.put(document())

    await documents.touch("pypi", "simple/requests/", 2000.0, 60.0)

    assert documents.get("pypi", "simple/requests/") == document(fetched_at=2000.0, max_age=60.0)


async def test_documents_raise_no_generation_until_they_are_purged(documents, database):
    await documents.put(document())
    await documents.touch("pypi", "simple/requests/", 2000.0, 60.0)
    assert database.point("SELECT * FROM generation") == []

    assert await documents.purge("pypi") == 1

    assert database.epoch("documents") > 0
    assert documents.get("pypi", "simple/requests/") is None


async def test_a_purge_keeps_to_what_it_was_told(documents):
    for upstream, key in (("npm", "a"), ("pypi", "a"), ("pypi", "b")):
        await documents.put(document(upstream=upstream, key=key))

    assert await documents.purge("pypi", "a") == 1
    assert await documents.purge("pypi") == 1
    assert documents.get("npm", "a") is not None
    assert await documents.purge() == 1


async def test_documents_are_summed_up_by_upstream(documents):
    await documents.put(document("old", fetched_at=1000.0))
    await documents.put(document("new", fetched_at=1900.0))
    await documents.put(document("absent", digest=None, fetched_at=10.0))

    assert await documents.summary(now=2000.0) == [DocumentsSummary("pypi", 2, 1, 200, 1000.0)]


async def test_a_cached_file_is_found_only_through_its_repository_and_package(blob_rows, tools, other):
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached())

    assert blob_rows.cached(tools.id, "requests", "requests-1.whl") == cached()
    assert blob_rows.cached(tools.id, "requests", "requests-1.whl", FIRST.hex) == cached()
    assert blob_rows.cached(tools.id, "requests", "requests-1.whl", SECOND.hex) is None
    assert blob_rows.cached(other.id, "requests", "requests-1.whl", FIRST.hex) is None
    assert blob_rows.cached(tools.id, "urllib3", "requests-1.whl", FIRST.hex) is None


async def test_of_two_files_with_one_name_the_latest_is_found_unless_the_bytes_are_named(blob_rows, tools):
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached(SECOND, fetched_at=2000.0))
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached(FIRST, fetched_at=1000.0))

    assert blob_rows.cached(tools.id, "requests", "requests-1.whl").digest == SECOND
    assert blob_rows.cached(tools.id, "requests", "requests-1.whl", FIRST.hex).digest == FIRST


async def test_caching_the_same_file_again_renews_its_date(blob_rows, tools):
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached())
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached(fetched_at=3000.0))

    assert blob_rows.cached(tools.id, "requests", "requests-1.whl").fetched_at == 3000.0
    assert await blob_rows.cache_sizes() == [(tools.id, 100, 1)]


async def test_forgotten_bytes_are_gone_from_every_repository(blob_rows, documents, tools, other, elsewhere):
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached())
    await blob_rows.add_cached(other.id, "requests", "requests-1.tgz", cached())
    await documents.put(document())
    before = elsewhere.epoch(f"repository:{other.id}")

    assert await blob_rows.drop("cache", [FIRST.hex]) == [FIRST.hex]

    assert blob_rows.cached(other.id, "requests", "requests-1.tgz") is None
    assert blob_rows.cached(tools.id, "requests", "requests-1.whl") is None
    assert documents.get("pypi", "simple/requests/") is None
    assert elsewhere.epoch(f"repository:{other.id}") > before


async def test_a_purge_of_cached_files_keeps_to_its_repository(blob_rows, tools, other):
    for repository, package in ((tools, "a"), (tools, "b"), (other, "a")):
        await blob_rows.add_cached(repository.id, package, "file", cached())

    assert await blob_rows.purge_cached(tools.id, "a") == 1
    assert await blob_rows.purge_cached(tools.id) == 1
    assert blob_rows.cached(other.id, "a", "file") == cached()


async def test_the_least_recently_used_go_first(blob_rows, tools):
    for moment, digest in enumerate((FIRST, SECOND, THIRD)):
        await blob_rows.add_cached(tools.id, "requests", str(digest), cached(digest, fetched_at=float(moment)))

    await blob_rows.touch("cache", {FIRST.hex: 50.0, SECOND.hex: -5.0})

    assert await blob_rows.total("cache") == 300
    assert await blob_rows.coldest("cache", 0) == []
    assert await blob_rows.coldest("cache", 101) == [(SECOND.hex, 100), (THIRD.hex, 100)]
    assert len(await blob_rows.coldest("cache", 10_000)) == 3


async def test_a_dropped_cache_blob_is_unlinked_everywhere(blob_rows, documents, tools):
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached())
    await documents.put(document())
    removed = []

    assert await blob_rows.drop("cache", [FIRST.hex], remove=removed.append) == [FIRST.hex]

    assert removed == [FIRST.hex]
    assert blob_rows.cached(tools.id, "requests", "requests-1.whl") is None
    assert documents.get("pypi", "simple/requests/") is None
    assert await blob_rows.total("cache") == 0


async def test_bytes_that_could_not_be_removed_stay_known(blob_rows, tools):
    await blob_rows.add_cached(tools.id, "requests", "requests-1.whl", cached())

    def remove(_hex):
        raise PermissionError("read-only file system")

    with pytest.raises(PermissionError):
        await blob_rows.drop("cache", [FIRST.hex], remove=remove)

    assert set(await blob_rows.known("cache")) == {FIRST.hex}


async def test_hosted_bytes_are_referenced_by_live_files_attachments_and_staged_versions(blob_rows, database, tools):
    packages = Packages(database)
    metadata = Attachment(SECOND, 6, "text/plain")
    file = NewFileRow("tool-1.whl", "1", FIRST, 5, {}, {}, "2024-05-01T10:00:00Z", {"metadata": metadata})
    await packages.commit(tools.id, "tool", [file], actor="ann")
    await packages.stage_put(StagedRow("s1", tools.id, "tool", "2", THIRD, 5, {}, "ann", 0.0))
    assert await blob_rows.referenced("hosted") == {FIRST.hex, SECOND.hex, THIRD.hex}

    await packages.edit(tools.id, "tool", Edit(delete_files=("tool-1.whl",)))

    assert await blob_rows.referenced("hosted") == {THIRD.hex}
    assert set(await blob_rows.known("hosted")) == {FIRST.hex, SECOND.hex, THIRD.hex}


async def test_hosted_bytes_that_are_referenced_by_now_are_not_dropped(blob_rows, database, tools):
    file = NewFileRow("tool-1.whl", "1", FIRST, 5, {}, {}, "2024-05-01T10:00:00Z")
    await Packages(database).commit(tools.id, "tool", [file], actor="ann")
    await blob_rows.add("hosted", SECOND, 6)

    assert await blob_rows.drop("hosted", [FIRST.hex, SECOND.hex]) == [SECOND.hex]
    assert set(await blob_rows.known("hosted")) == {FIRST.hex}


async def test_what_is_large_goes_before_what_is_small_unless_that_is_a_month_older(blob_rows):
    month = 30 * 86400.0
    await blob_rows.add("cache", FIRST, 1_000, now=month)
    await blob_rows.add("cache", SECOND, 1_000_000, now=2 * month - 1)
    await blob_rows.add("cache", THIRD, 1_000, now=1.0)

    assert [hex_ for hex_, _ in await blob_rows.coldest("cache", 10**9)] == [THIRD.hex, SECOND.hex, FIRST.hex]
