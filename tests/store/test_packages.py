import asyncio

import pytest

from gateway.errors import AlreadyExists, Conflict, FileUnknown, NameRetired, NameTaken, PackageUnknown, StoreTrouble
from gateway.model import Digest, OwnerMode
from gateway.store.blob_rows import BlobRows
from gateway.store.packages import Packages
from gateway.store.rows import Attachment, CachedFile, Committed, Edit, NewFileRow, StagedRow


def wheel(version="1.0", body=b"wheel", filename=None, attachments=None):
    digest = Digest.of(body)
    return NewFileRow(
        filename=filename or f"tool-{version}.whl",
        version=version,
        digest=digest,
        size=len(body),
        hashes={"md5": "0" * 32},
        facts={"requires-python": ">=3.11"},
        uploaded_at="2024-05-01T10:00:00Z",
        attachments=attachments or {},
    )


async def test_what_was_published_is_read_back(packages, tools):
    metadata = Attachment(Digest.of(b"metadata"), 8, "text/plain")
    committed = await packages.commit(
        tools.id,
        "tool",
        [wheel(attachments={"metadata": metadata})],
        facts={"keywords": ["ä"]},
        tags={"latest": "1.0"},
        actor="ann",
    )

    hosted = await packages.hosted(tools.id, "tool")

    assert committed == Committed(created=True, revision=hosted.row.revision)
    assert hosted.row == packages.get(tools.id, "tool")
    assert (hosted.row.owner_mode, hosted.row.facts) == (OwnerMode.HOSTED, {"keywords": ["ä"]})
    (file,) = hosted.files
    assert (file.filename, file.version, file.size, file.url, file.origin) == ("tool-1.0.whl", "1.0", 5, None, "hosted")
    assert file.hashes == {"md5": "0" * 32, "sha256": Digest.of(b"wheel").hex}
    assert (file.facts, file.uploaded_at) == ({"requires-python": ">=3.11"}, "2024-05-01T10:00:00Z")
    assert hosted.tags == {"latest": "1.0"}
    assert hosted.attachments == {"tool-1.0.whl": {"metadata": metadata}}
    assert (hosted.tombstones, hosted.tombstone_versions) == (frozenset(), frozenset())
    assert hosted.find("tool-1.0.whl") is file
    assert hosted.find("other") is None


async def test_a_package_with_many_files_is_read_like_one_with_few(packages, tools):
    attachments = {"metadata": Attachment(Digest.of(b"metadata"), 8, "text/plain")}
    many = [wheel(f"{number}.0", attachments=attachments) for number in range(70)]
    await packages.commit(tools.id, "few", many[:2], tags={"latest": "1.0"}, actor="ann")
    await packages.commit(tools.id, "many", many, tags={"latest": "1.0"}, actor="ann")

    few = await packages.hosted(tools.id, "few")
    all_ = await packages.hosted(tools.id, "many")

    assert [file.filename for file in all_.files] == [file.filename for file in many]
    assert all_.files[:2] == few.files
    assert all_.tags == few.tags
    assert set(all_.attachments) == {file.filename for file in many}


async def test_an_unknown_name_has_no_row_and_nothing_hosted(packages, tools):
    assert packages.get(tools.id, "tool") is None
    assert await packages.hosted(tools.id, "tool") is None


async def test_the_same_bytes_again_change_nothing(packages, tools, database):
    first = await packages.commit(tools.id, "tool", [wheel()], facts={"a": 1}, tags={"latest": "1.0"}, actor="ann")
    epoch = database.epoch(f"repository:{tools.id}")

    again = await packages.commit(tools.id, "tool", [wheel()], facts={"a": 1}, tags={"latest": "1.0"}, actor="bob")

    assert again == Committed(created=False, revision=first.revision)
    assert database.epoch(f"repository:{tools.id}") == epoch


async def test_other_bytes_under_a_published_name_are_refused_and_nothing_of_the_commit_stays(packages, tools):
    await packages.commit(tools.id, "tool", [wheel()], actor="ann")
    before = await packages.hosted(tools.id, "tool")

    with pytest.raises(AlreadyExists, match=Digest.of(b"wheel").hex):
        await packages.commit(
            tools.id, "tool", [wheel("2.0"), wheel(body=b"other")], tags={"latest": "2.0"}, actor="ann"
        )

    assert await packages.hosted(tools.id, "tool") == before


async def test_publishing_a_name_that_an_upstream_owns_needs_a_claim(packages, tools):
    await packages.adopt(tools.id, "requests", "pypi")

    with pytest.raises(NameTaken):
        await packages.commit(tools.id, "requests", [wheel()], actor="thief")

    await packages.claim(tools.id, "requests")
    assert (await packages.commit(tools.id, "requests", [wheel()], actor="admin")).created
    assert packages.get(tools.id, "requests").origin == ""


async def test_a_merged_name_may_be_published_beside_its_upstream(packages, tools):
    await packages.adopt(tools.id, "requests", "pypi")

    await packages.commit(tools.id, "requests", [wheel()], actor="ann", is_merged=True)

    assert packages.get(tools.id, "requests").owner_mode is OwnerMode.HOSTED
    assert len((await packages.hosted(tools.id, "requests")).files) == 1


async def test_adopting_never_takes_a_published_name(packages, tools):
    await packages.commit(tools.id, "tool", [wheel()], actor="ann")
    before = packages.get(tools.id, "tool")

    assert await packages.adopt(tools.id, "tool", "pypi") == before
    assert packages.get(tools.id, "tool") == before


async def test_a_name_belongs_to_the_upstream_that_was_first(packages, tools):
    await packages.adopt(tools.id, "requests", "first")

    assert (await packages.adopt(tools.id, "requests", "second")).origin == "first"
    assert await packages.hosted(tools.id, "requests") is None


async def test_of_a_publish_and_an_adoption_at_once_one_owns_the_name(packages, tools, elsewhere):
    outcomes = await asyncio.gather(
        packages.commit(tools.id, "tool", [wheel()], actor="ann"),
        Packages(elsewhere).adopt(tools.id, "tool", "pypi"),
        return_exceptions=True,
    )

    hosted = packages.get(tools.id, "tool").owner_mode is OwnerMode.HOSTED
    assert hosted is isinstance(outcomes[0], Committed)
    assert hosted is (outcomes[1].owner_mode is OwnerMode.HOSTED)


async def test_a_publish_is_visible_to_another_process_by_its_next_call(packages, tools, elsewhere):
    there = Packages(elsewhere)
    before = elsewhere.epoch(f"repository:{tools.id}")
    assert there.get(tools.id, "tool") is None

    await packages.commit(tools.id, "tool", [wheel()], actor="ann")

    assert elsewhere.epoch(f"repository:{tools.id}") > before
    assert (await there.hosted(tools.id, "tool")).find("tool-1.0.whl") is not None


async def test_a_deleted_files_name_is_never_used_again(packages, tools):
    attachments = {"metadata": Attachment(Digest.of(b"metadata"), 8, "text/plain")}
    await packages.commit(tools.id, "tool", [wheel(attachments=attachments), wheel("2.0")], actor="ann")

    await packages.edit(tools.id, "tool", Edit(delete_files=("tool-1.0.whl",)))

    hosted = await packages.hosted(tools.id, "tool")
    assert [file.filename for file in hosted.files] == ["tool-2.0.whl"]
    assert (hosted.tombstones, hosted.tombstone_versions) == ({"tool-1.0.whl"}, {"1.0"})
    assert hosted.attachments == {}
    for body in (b"wheel", b"other"):
        with pytest.raises(NameRetired):
            await packages.commit(tools.id, "tool", [wheel(body=body)], actor="ann")


async def test_a_version_with_a_live_file_is_not_retired(packages, tools):
    await packages.commit(tools.id, "tool", [wheel(), wheel(filename="tool-1.0.tar.gz")], actor="ann")

    await packages.edit(tools.id, "tool", Edit(delete_files=("tool-1.0.whl",)))

    hosted = await packages.hosted(tools.id, "tool")
    assert (hosted.tombstones, hosted.tombstone_versions) == ({"tool-1.0.whl"}, set())


async def test_a_deleted_package_stays_hosted(packages, tools):
    await packages.commit(tools.id, "tool", [wheel()], facts={"a": 1}, tags={"latest": "1.0"}, actor="ann")

    await packages.edit(tools.id, "tool", Edit(delete_package=True))

    hosted = await packages.hosted(tools.id, "tool")
    assert hosted.row.owner_mode is OwnerMode.HOSTED
    assert (hosted.files, hosted.tags, hosted.row.facts) == ((), {}, {})
    assert hosted.tombstones == {"tool-1.0.whl"}
    assert (await packages.adopt(tools.id, "tool", "pypi")).owner_mode is OwnerMode.HOSTED


async def test_an_edit_changes_facts_files_and_tags_together(packages, tools):
    await packages.commit(tools.id, "tool", [wheel()], tags={"latest": "1.0", "old": "1.0"}, actor="ann")
    revision = packages.get(tools.id, "tool").revision

    edit = Edit(facts={"b": 2}, tags={"old": None, "next": "1.0"}, file_facts={"tool-1.0.whl": {"yanked": "bad"}})
    edited = await packages.edit(tools.id, "tool", edit, expected_revision=revision)

    hosted = await packages.hosted(tools.id, "tool")
    assert edited == hosted.row.revision == revision + 1
    assert hosted.row.facts == {"b": 2}
    assert hosted.tags == {"latest": "1.0", "next": "1.0"}
    assert hosted.files[0].facts == {"yanked": "bad"}


async def test_an_edit_of_a_stale_revision_is_a_conflict(packages, tools):
    await packages.commit(tools.id, "tool", [wheel()], actor="ann")
    revision = packages.get(tools.id, "tool").revision

    outcomes = await asyncio.gather(
        packages.edit(tools.id, "tool", Edit(facts={"by": "one"}), expected_revision=revision),
        packages.edit(tools.id, "tool", Edit(facts={"by": "two"}), expected_revision=revision),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [int, Conflict]
    assert packages.get(tools.id, "tool").facts == {"by": "one"}


async def test_an_edit_of_an_unknown_file_changes_nothing(packages, tools):
    await packages.commit(tools.id, "tool", [wheel()], actor="ann")
    before = await packages.hosted(tools.id, "tool")

    for edit in (
        Edit(facts={"b": 2}, delete_files=("tool-1.0.whl", "other.whl")),
        Edit(facts={"b": 2}, file_facts={"other.whl": {}}),
    ):
        with pytest.raises(FileUnknown, match=r"other\.whl"):
            await packages.edit(tools.id, "tool", edit)

    assert await packages.hosted(tools.id, "tool") == before


async def test_nothing_can_be_edited_where_nothing_is_published(packages, tools):
    await packages.adopt(tools.id, "requests", "pypi")

    for name in ("unknown", "requests"):
        with pytest.raises(PackageUnknown):
            await packages.edit(tools.id, name, Edit(facts={}))


async def test_releasing_a_name_frees_it_only_if_nothing_was_ever_published(packages, tools):
    await packages.claim(tools.id, "empty")
    await packages.commit(tools.id, "tool", [wheel()], actor="ann")
    with pytest.raises(Conflict):
        await packages.release(tools.id, "tool")
    await packages.edit(tools.id, "tool", Edit(delete_package=True))

    await packages.release(tools.id, "empty")
    await packages.release(tools.id, "tool")

    assert packages.get(tools.id, "empty") is None
    assert packages.get(tools.id, "tool").owner_mode is OwnerMode.UPSTREAM
    await packages.claim(tools.id, "tool")
    with pytest.raises(NameRetired):
        await packages.commit(tools.id, "tool", [wheel()], actor="ann")
    with pytest.raises(PackageUnknown):
        await packages.release(tools.id, "unknown")


async def test_a_name_can_be_restricted_before_anybody_owns_it(packages, tools):
    with pytest.raises(PackageUnknown):
        await packages.set_restricted(tools.id, "requests", True)

    await packages.set_restricted(tools.id, "requests", True, owner_mode=OwnerMode.UPSTREAM)

    assert (await packages.adopt(tools.id, "requests", "pypi")).origin == "pypi"
    assert packages.get(tools.id, "requests").is_restricted
    assert not (await packages.set_restricted(tools.id, "requests", False)).is_restricted


async def test_the_same_name_in_two_repositories_is_two_packages(packages, tools, other):
    await packages.commit(tools.id, "tool", [wheel()], actor="ann")

    assert packages.get(other.id, "tool") is None
    assert await packages.names(other.id) == []


async def test_names_and_summaries_are_listed(packages, tools):
    await packages.commit(tools.id, "tool", [wheel(), wheel("2.0", b"second")], actor="ann")
    await packages.edit(tools.id, "tool", Edit(delete_files=("tool-1.0.whl",)))
    await packages.adopt(tools.id, "requests", "pypi")

    assert await packages.names(tools.id) == ["requests", "tool"]
    assert await packages.names(tools.id, OwnerMode.HOSTED) == ["tool"]
    upstream, hosted = await packages.summary(tools.id)
    assert (upstream.name, upstream.origin, upstream.files, upstream.bytes) == ("requests", "pypi", 0, 0)
    assert (hosted.name, hosted.versions, hosted.files, hosted.bytes) == ("tool", 1, 1, 6)
    assert hosted.latest_upload == "2024-05-01T10:00:00Z"
    assert upstream.latest_upload is None


async def test_a_summary_counts_what_the_cache_holds_of_a_name(packages, tools, database):
    await packages.adopt(tools.id, "requests", "pypi")
    cached = CachedFile(Digest.of(b"bytes"), 5, {}, "pypi", 1.0)
    await BlobRows(database).add_cached(tools.id, "requests", "requests-1.0.whl", cached)

    (row,) = await packages.summary(tools.id)

    assert (row.files, row.bytes, row.versions) == (1, 5, 0)


async def test_bytes_swept_before_they_were_linked_are_not_published(packages, tools):
    with pytest.raises(StoreTrouble, match="swept"):
        await packages.commit(tools.id, "tool", [wheel()], actor="ann", is_stored=lambda _digest: False)

    assert packages.get(tools.id, "tool") is None


async def test_a_sweep_beside_a_publish_never_takes_linked_bytes(packages, tools, elsewhere):
    """The sweep found the bytes unreferenced; meanwhile they are published from another process."""
    stored = {Digest.of(b"wheel").hex}
    sweeper = BlobRows(elsewhere)

    outcomes = await asyncio.gather(
        packages.commit(tools.id, "tool", [wheel()], actor="ann", is_stored=lambda digest: digest.hex in stored),
        sweeper.drop("hosted", list(stored), remove=stored.discard),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], Committed) is bool(stored)


async def test_a_staged_version_waits_aside(packages, tools):
    row = StagedRow("s1", tools.id, "tool", "1.0", Digest.of(b"wheel"), 5, {"a": [1]}, "ann", 1000.0)

    await packages.stage_put(row)

    assert await packages.stage_list(tools.id) == [row]
    assert await packages.hosted(tools.id, "tool") is None
    with pytest.raises(AlreadyExists):
        await packages.stage_put(row)
    assert await packages.stage_remove("s1")
    assert not await packages.stage_remove("s1")
    assert await packages.stage_list(tools.id) == []


async def test_what_changed_after_a_generation_is_read_in_order(packages, tools, database):
    await packages.commit(tools.id, "one", [wheel(filename="one-1.0.whl")], actor="ann")
    await packages.commit(tools.id, "two", [wheel(filename="two-1.0.whl")], actor="ann")
    before = database.epoch(f"repository:{tools.id}")

    await packages.adopt(tools.id, "three", "pypi")
    await packages.claim(tools.id, "four")
    await packages.edit(tools.id, "one", Edit(delete_files=("one-1.0.whl",)))

    assert [row.name for row in await packages.changed(tools.id, 0)] == ["two", "three", "four", "one"]
    assert [row.name for row in await packages.changed(tools.id, before)] == ["three", "four", "one"]
    assert await packages.changed(tools.id, database.epoch(f"repository:{tools.id}")) == []


async def test_restricted_names_are_listed(packages, tools):
    await packages.claim(tools.id, "open")
    await packages.set_restricted(tools.id, "closed", True, owner_mode=OwnerMode.HOSTED)

    assert await packages.restricted(tools.id) == ["closed"]


async def test_facts_by_default_never_replace_any(packages, tools):
    await packages.commit(tools.id, "tool", [wheel()], defaults={"id": "Tool", "a": 1}, actor="ann")
    await packages.commit(tools.id, "tool", [wheel("2.0")], defaults={"id": "TOOL", "b": 2}, actor="ann")

    assert packages.get(tools.id, "tool").facts == {"id": "Tool", "a": 1, "b": 2}


async def test_several_names_are_published_together_or_not_at_all(packages, tools):
    def commit(**more):
        batches = {"one": ([wheel(filename="one.whl")], {"a": 1}), "two": ([wheel(filename="two.whl")], None)}
        return packages.commit_all(tools.id, batches, actor="ann", is_merged=lambda _name: False, **more)

    await packages.commit(tools.id, "Three", [wheel(filename="three.whl")], actor="ann")

    for refused in (
        commit(expected={"one": 0, "two": 7}),
        commit(expected={"one": 3}),
        commit(rivals=[("three", "no.whl"), ("THREE", "three.WHL")]),
    ):
        with pytest.raises(Conflict):
            await refused
        assert packages.get(tools.id, "one") is None

    await commit(expected={"one": 0, "two": 0}, rivals=[("three", "no.whl"), ("four", "three.whl")])
    assert (packages.get(tools.id, "one").facts, packages.get(tools.id, "two").facts) == ({"a": 1}, {})


async def test_a_deleted_file_is_still_a_rival(packages, tools):
    await packages.commit(tools.id, "three", [wheel(filename="three.whl")], actor="ann")
    await packages.edit(tools.id, "three", Edit(delete_files=("three.whl",)))

    with pytest.raises(AlreadyExists):
        await packages.commit_all(
            tools.id,
            {"one": ([wheel()], None)},
            actor="ann",
            is_merged=lambda _name: False,
            rivals=[("three", "three.whl")],
        )


async def test_nothing_hosted_is_what_is_expected_of_a_name_that_an_upstream_owns(packages, tools):
    await packages.adopt(tools.id, "requests", "pypi")

    done = await packages.commit(tools.id, "requests", [wheel()], actor="ann", is_merged=True, expected_revision=0)

    assert done.created
