from gateway.store.packages import Packages


def said(**words):
    return lambda noted: {**noted, **words}


async def test_a_note_is_read_and_added_to_by_every_process(packages, elsewhere, tools):
    await packages.note(tools.id, "tool", "a.jar", said(sha1="1"), 60, now=100)
    await Packages(elsewhere).note(tools.id, "tool", "a.jar", said(md5="2"), 60, now=110)

    assert packages.noted(tools.id, "tool", "a.jar", now=169) == {"sha1": "1", "md5": "2"}
    assert packages.noted(tools.id, "tool", "b.jar", now=169) == {}
    assert packages.noted(tools.id, "other", "a.jar", now=169) == {}


async def test_a_note_is_forgotten_after_its_time_or_when_nothing_is_left_of_it(packages, tools):
    await packages.note(tools.id, "tool", "old", said(sha1="1"), 60, now=100)
    assert packages.noted(tools.id, "tool", "old", now=161) == {}
    await packages.note(tools.id, "tool", "old", said(md5="2"), 60, now=161)
    await packages.note(tools.id, "tool", "dropped", said(sha1="1"), 60, now=161)

    await packages.note(tools.id, "tool", "dropped", lambda _: {}, 60, now=161)

    assert packages.noted(tools.id, "tool", "old", now=162) == {"md5": "2"}
    assert packages.noted(tools.id, "tool", "dropped", now=162) == {}


async def test_of_too_many_notes_the_oldest_of_the_repository_go(packages, tools, other):
    await packages.note(other.id, "tool", "kept", said(sha1="1"), 60, most=2, now=1)
    for moment, name in enumerate("abc", start=2):
        await packages.note(tools.id, name, "file", said(sha1="1"), 60, most=2, now=moment)

    assert [bool(packages.noted(tools.id, name, "file", now=5)) for name in "abc"] == [False, True, True]
    assert packages.noted(other.id, "tool", "kept", now=5)
