import string

import pytest

from gateway.auth import tokens


def test_a_minted_token_is_well_formed_and_never_the_same_twice():
    minted = {tokens.mint() for _ in range(200)}

    assert len(minted) == 200
    assert all(tokens.is_well_formed(token) and len(token) == 40 for token in minted)


def test_one_wrong_character_anywhere_is_noticed():
    token = tokens.mint()

    for place in range(len(token)):
        for other in string.ascii_letters[:8] + string.digits:
            if token[place] != other:
                assert not tokens.is_well_formed(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ent_",
        "ent_" + "0" * 36,
        "ghp_" + "a" * 36,
        " {token}",
        "{token} ",
        "{token}\n",
        "{token}0",
        "{short}",
        "ent_" + "é" * 36,
    ],
)
def test_what_only_looks_like_a_token_is_none(text):
    token = tokens.mint()

    assert not tokens.is_well_formed(text.format(token=token, short=token[:-1]))


def test_the_hint_gives_away_no_more_than_four_characters():
    token = tokens.mint()

    assert tokens.hint(token) == token[:8]


def test_the_stored_form_is_the_sha256():
    assert tokens.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
