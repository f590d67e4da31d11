"""Users, services, organisations and teams on the command line."""

import sqlite3


def test_a_user_is_created_listed_and_disabled(entrepot):
    assert entrepot("user", "create", "ann", "--admin", "--email", "ann@example.com").code == 0
    assert entrepot("user", "create", "bob").code == 0
    assert entrepot("user", "disable", "bob").code == 0

    lines = [line.split("\t")[:4] for line in entrepot("user", "list").out.splitlines()]

    assert lines == [["ann", "active", "admin", "ann@example.com"], ["bob", "disabled", "", ""]]
    assert entrepot("user", "enable", "bob").code == 0
    assert "disabled" not in entrepot("user", "list").out


def test_a_password_comes_from_a_pipe_and_is_kept_as_a_hash_only(entrepot, data):
    assert entrepot("user", "create", "ann", "--password", stdin="correct horse battery\n").code == 0
    assert entrepot("user", "password", "ann", stdin="another long password\n").code == 0

    rows = sqlite3.connect(data / "catalogue.sqlite").execute("SELECT password_hash FROM actor").fetchall()
    assert rows[0][0].startswith("$argon2id$")
    for path in data.rglob("*"):
        assert not path.is_file() or b"another long" not in path.read_bytes()


def test_a_short_password_is_refused(entrepot):
    result = entrepot("user", "create", "ann", "--password", stdin="short\n")

    assert (result.code, result.out) == (2, "")
    assert result.err == "error: a password has 10 to 1024 characters, not 5\n"


def test_a_name_that_is_taken_is_one_clear_line(entrepot):
    entrepot("user", "create", "ann")

    result = entrepot("org", "create", "Ann")

    assert result.code == 1
    assert result.err == "error: the name ann is taken already\n"


def test_a_service_is_not_a_user(entrepot):
    entrepot("service", "create", "robot")

    assert entrepot("user", "disable", "robot").err == "error: there is no user robot\n"
    assert entrepot("service", "disable", "robot").code == 0
    assert entrepot("service", "list").out.startswith("robot\tdisabled")
    assert entrepot("service", "enable", "robot").code == 0


def test_an_organisation_has_members_and_teams(entrepot):
    for name in ("ann", "bob"):
        entrepot("user", "create", name)
    entrepot("org", "create", "acme", "--owner", "ann")
    entrepot("org", "team", "create", "acme/devs")
    entrepot("org", "add-member", "acme", "bob")
    entrepot("org", "team", "add-member", "acme/devs", "bob")

    assert entrepot("org", "list").out == "acme\tann (owner), bob\tdevs\n"
    assert entrepot("org", "team", "list").out == "acme/devs\tbob\n"
    assert entrepot("org", "team", "remove-member", "acme/devs", "bob").code == 0
    assert entrepot("org", "remove-member", "acme", "bob").code == 0
    assert entrepot("org", "remove-member", "acme", "bob").err == "error: bob is not a member of acme\n"
    assert entrepot("org", "team", "delete", "acme/devs").code == 0
    assert entrepot("org", "delete", "acme").code == 0
    assert entrepot("org", "list").out == ""


def test_what_was_done_in_a_shell_is_in_the_audit(entrepot, data):
    entrepot("user", "create", "ann")

    rows = sqlite3.connect(data / "catalogue.sqlite").execute("SELECT actor, action, address FROM audit").fetchall()

    assert len(rows) == 1
    assert rows[0][0].startswith("shell:")
    assert rows[0][1:] == ("user.create", "shell")


def test_an_organisation_that_owns_repositories_cannot_be_deleted(entrepot):
    assert entrepot("org", "create", "acme").code == 0
    assert entrepot("repo", "create", "pypi/acme/tools").code == 0

    result = entrepot("org", "delete", "acme")

    assert result.code == 1
    assert result.err == "error: acme still owns pypi/acme/tools\n"
    assert "acme" in entrepot("org", "list").out


def test_one_time_codes_are_begun_with_a_secret_that_is_shown_once(entrepot, data):
    entrepot("user", "create", "ann")

    begun = entrepot("user", "otp", "enable", "ann")
    again = entrepot("user", "otp", "enable", "ann")

    secret, address = begun.out.splitlines()
    assert len(secret) == 32
    assert address == f"otpauth://totp/Entrepot:ann?secret={secret}&issuer=Entrepot"
    assert (again.code, again.out) == (1, "")
    assert again.err == "error: this account has one-time codes already\n"
    rows = sqlite3.connect(data / "catalogue.sqlite").execute("SELECT action, detail FROM audit").fetchall()
    assert rows[-1][0] == "code.enable"
    assert secret not in str(rows)
    assert data.stat().st_mode & 0o077 == 0


def test_one_time_codes_are_ended_and_may_begin_anew(entrepot):
    entrepot("user", "create", "ann")
    first = entrepot("user", "otp", "enable", "ann").out

    assert entrepot("user", "otp", "disable", "ann").code == 0
    assert entrepot("user", "otp", "disable", "ann").err == "error: ann has no one-time codes\n"
    assert entrepot("user", "otp", "enable", "ann").out != first


def test_a_machine_has_no_one_time_codes(entrepot):
    entrepot("service", "create", "robot")

    assert entrepot("user", "otp", "enable", "robot").err == "error: there is no user robot\n"
