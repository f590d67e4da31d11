import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.npm import packument, patching, publishing, render
from gateway.errors import Conflict, Forbidden, Invalid, VersionUnknown
from gateway.model import Listing
from tests.npm.documents import BASE, HOSTS, document
from tests.npm.documents import packument as upstream_packument
from tests.npm.test_packument import hosted

NOW = "2024-06-01T00:00:00.000Z"


def shown(listing):
    return json.loads(render.full(listing, BASE))


def edit(listing, value, actor="ada", *, removes=False):
    sent = publishing.read_sent(listing.package, json.dumps(value).encode())
    return patching.edit_of(listing, sent, actor, NOW, removes=removes)


def test_a_document_that_comes_back_as_it_was_changes_nothing():
    listing = hosted("1.0.0", "1.1.0", maintainers=[{"name": "ada"}], users={"bob": True})

    assert edit(listing, shown(listing), removes=True) is None


def test_deprecating_changes_only_deprecated():
    listing = hosted("1.0.0", "1.1.0")
    value = shown(listing)
    value["versions"]["1.0.0"] |= {"deprecated": "old", "dependencies": {"evil": "1"}, "dist": {"tarball": "evil"}}

    change = edit(listing, value)

    assert list(change.file_facts) == ["lib-1.0.0.tgz"]
    before = listing.files[0].facts["manifest"]
    assert change.file_facts["lib-1.0.0.tgz"]["manifest"] == before | {"deprecated": "old"}
    assert (change.delete_files, change.tags) == ((), {})
    assert change.facts["modified"] == NOW


def test_an_empty_deprecation_takes_it_away():
    listing = hosted("1.0.0")
    listing.files[0].facts["manifest"]["deprecated"] = "old"
    value = shown(listing)
    value["versions"]["1.0.0"]["deprecated"] = ""

    assert "deprecated" not in edit(listing, value).file_facts["lib-1.0.0.tgz"]["manifest"]


def test_a_missing_version_is_removed_only_where_the_address_names_a_revision():
    listing = hosted("1.0.0", "1.1.0")
    value = shown(listing)
    del value["versions"]["1.1.0"]
    value["dist-tags"] = {"latest": "1.0.0"}

    change = edit(listing, value, removes=True)

    assert change.delete_files == ("lib-1.1.0.tgz",)
    assert change.tags == {"latest": "1.0.0"}
    assert edit(listing, value | {"dist-tags": {"latest": "1.1.0"}}) is None


def test_latest_is_repaired_when_its_version_goes_and_other_tags_go_with_theirs():
    listing = hosted("1.0.0", "1.1.0", "2.0.0-rc.1")
    listing.facts["tags"].update(latest="1.1.0", old="1.1.0")
    value = shown(listing)
    del value["versions"]["1.1.0"]

    assert edit(listing, value, removes=True).tags == {"latest": "1.0.0", "old": None}


def test_removing_every_version_removes_the_package():
    listing = hosted("1.0.0")

    assert edit(listing, shown(listing) | {"versions": {}}, removes=True).delete_package


def test_versions_that_the_sender_was_not_shown_are_not_deleted():
    everything = hosted("1.0.0", "1.1.0")
    visible = Listing(everything.package, everything.files[:1], everything.facts | {"tags": {"latest": "1.0.0"}})

    assert edit(visible, shown(visible), removes=True) is None


def blind(listing, *versions):
    """What somebody sees who may not see these versions."""
    return replace(listing, files=tuple(file for file in listing.files if file.version not in versions))


def test_who_does_not_see_every_version_removes_no_other_and_never_the_package():
    seen = blind(hosted("1.0.0", "1.1.0"), "1.1.0")
    sent = publishing.read_sent(seen.package, json.dumps({**shown(seen), "versions": {}}).encode())

    change = patching.edit_of(seen, sent, "ada", NOW, removes=True, is_whole=False)
    removal = patching.removal_of(seen, "lib-1.0.0.tgz", NOW, is_whole=False)

    for one in (change, removal):
        assert not one.delete_package
        assert one.delete_files == ("lib-1.0.0.tgz",)


def test_tags_of_versions_that_the_sender_was_not_shown_stay_where_they_are():
    listing = hosted("1.0.0", "1.1.0", "2.0.0", tags={"latest": "2.0.0", "beta": "2.0.0", "old": "1.0.0"})
    seen = blind(listing, "2.0.0")
    same = shown(seen)
    same["versions"]["1.0.0"]["deprecated"] = "old"
    without = shown(seen)
    without["dist-tags"] = {"latest": "1.0.0", "old": "1.0.0"}
    del without["versions"]["1.1.0"]

    assert shown(seen)["dist-tags"] == {"latest": "1.1.0", "beta": "1.1.0", "old": "1.0.0"}
    assert edit(seen, same).tags == {}
    assert edit(seen, without, removes=True).tags == {}
    assert edit(seen, {**same, "dist-tags": {"latest": "1.0.0"}}).tags == {"latest": "1.0.0", "old": None}


def test_owners_and_stars_are_changed_without_touching_versions():
    listing = hosted("1.0.0", maintainers=[{"name": "ada"}], users={"bob": True})

    owners = edit(
        listing, {"_id": "@acme/lib", "maintainers": [{"name": "ada"}, {"name": "eve", "email": "e@x"}]}, removes=True
    )
    stars = edit(listing, {"_id": "@acme/lib", "users": {"ada": True, "mallory": True}})
    unstar = edit(listing, {"_id": "@acme/lib", "users": {}}, "bob")

    assert owners.facts["maintainers"] == [{"name": "ada"}, {"name": "eve", "email": "e@x"}]
    assert (owners.delete_files, owners.file_facts) == ((), {})
    assert stars.facts["users"] == {"bob": True, "ada": True}
    assert unstar.facts["users"] == {}


def test_the_last_owner_stays():
    with pytest.raises(Invalid):
        edit(hosted("1.0.0", maintainers=[{"name": "ada"}]), {"maintainers": []}, removes=True)


def test_tags_are_set_and_deleted_but_latest_stays():
    listing = hosted("1.0.0", "1.1.0")
    listing.facts["tags"]["beta"] = "1.0.0"

    assert edit(listing, {"dist-tags": {"next": "1.0.0"}}).tags == {"next": "1.0.0", "beta": None}
    with pytest.raises(VersionUnknown):
        edit(listing, {"dist-tags": {"next": "9.0.0"}})
    with pytest.raises(Invalid):
        edit(listing, {"dist-tags": {"^1": "1.0.0"}})


def test_an_upstreams_versions_cannot_be_changed():
    upstream = packument.parse("@acme/lib", document(upstream_packument("@acme/lib", "2.0.0")), "npm", HOSTS)
    listing = packument.merge(hosted("1.0.0"), upstream)
    value = shown(listing)
    removed = shown(listing)
    del removed["versions"]["2.0.0"]
    value["versions"]["2.0.0"]["deprecated"] = "x"

    with pytest.raises(Forbidden):
        edit(listing, value)
    with pytest.raises(Forbidden):
        edit(listing, removed, removes=True)
    with pytest.raises(Forbidden):
        patching.removal_of(listing, "lib-2.0.0.tgz", NOW)


def test_a_new_version_needs_a_tarball():
    listing = hosted("1.0.0")
    value = shown(listing)
    value["versions"]["9.9.9"] = {"name": "@acme/lib", "version": "9.9.9"}

    with pytest.raises(Invalid):
        edit(listing, value)


def test_deleting_a_tarball_deletes_its_version():
    change = patching.removal_of(hosted("1.0.0", "1.1.0"), "lib-1.1.0.tgz", NOW)

    assert change.delete_files == ("lib-1.1.0.tgz",)
    assert change.tags == {"latest": "1.0.0"}
    assert patching.removal_of(hosted("1.0.0"), "lib-1.0.0.tgz", NOW).delete_package


@pytest.mark.parametrize("rev", ["undefined", "", "x-1", "-1", "９"])
def test_a_revision_that_we_never_gave_out_is_stale(rev):
    with pytest.raises(Conflict):
        patching.revision_in(rev)


def test_a_revision_is_read_from_what_we_gave_out():
    assert patching.revision_in(render.revision_of(hosted("1.0.0"))) == 7
    assert patching.revision_in(None) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ["_id", "name", "_rev", "dist-tags", "versions", "_attachments", "maintainers", "users", "access", "readme"]


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON_VALUES), st.booleans())
@settings(deadline=None)
def test_no_document_that_comes_back_does_worse_than_being_refused(members, removes):
    listing = hosted("1.0.0", "1.1.0", maintainers=[{"name": "ada"}])
    try:
        edit(listing, shown(listing) | members, removes=removes)
    except (Invalid, Conflict, Forbidden, VersionUnknown):
        return
