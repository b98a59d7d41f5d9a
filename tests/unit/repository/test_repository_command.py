"""How git is called, who is at work, and what git's failures become."""

from __future__ import annotations

import pytest

from datakeep.core.errors import (
    AccessDenied,
    GitFault,
    HostileRepository,
    Locked,
    NetworkMissing,
    NoIdentity,
    NoSpace,
    ProgramMissing,
    StoreUnreachable,
)
from datakeep.repository import command
from datakeep.repository.command import GitRunner, check_object_id, check_url, local_path, ssh_place
from datakeep.repository.faults import HostKeyUnknown, RepositoryMissing, git_fault
from datakeep.repository.identity import Identity, identity


def test_identity_is_what_git_was_told(home):
    assert identity() == Identity("Aiko Tanaka", "aiko@corp.example")


@pytest.mark.parametrize("text", ["", "[user]\n\tname = Aiko\n", "[user]\n\temail = a@corp.example\n"])
def test_identity_is_never_guessed(home, text):
    (home / ".gitconfig").write_text(text)
    with pytest.raises(NoIdentity) as caught:
        identity()
    assert "git config --global user.name" in caught.value.next_step


def test_identity_cannot_forge_a_second_header(now):
    assert (
        Identity("A <x@y>\ncommitter Z", "a@b>\n").signature(now) == "A x@ycommitter Z <a@b> 1795144200 +0000"
    )


def test_variables_of_an_enclosing_git_do_not_lead_astray(tmp_path, git, monkeypatch):
    git("init", "-q", "one")
    git("init", "-q", "two")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "two/.git"))
    found = GitRunner(tmp_path / "one").text("rev-parse", "--absolute-git-dir")
    assert found == str(tmp_path / "one/.git")


def test_something_else_is_done_while_git_is_at_work():
    seen = []
    done = GitRunner(None).run("hash-object", "--stdin", stdin=b"a", meanwhile=lambda: seen.append("done"))
    assert (done.exit_code, seen) == (0, ["done"])

    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GitRunner(None).run("hash-object", "--stdin", stdin=b"a", meanwhile=fails)


def test_isolated_runs_see_nothing_of_the_host(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_HOST", "1")
    runner = GitRunner(tmp_path, {"PATH": "/usr/bin:/bin"}, isolated=True, settings=("alias.show-env=!env",))
    seen = runner.text("show-env")
    assert "SECRET_OF_HOST" not in seen
    assert "HOME=" not in seen


def test_hooks_of_the_host_never_run(tmp_path, git, home):
    hooks = home / "hooks"
    hooks.mkdir()
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "reference-transaction").chmod(0o755)
    git("config", "--global", "core.hooksPath", hooks)
    git("init", "-q", "one")
    git("-C", "one", "commit", "-q", "--allow-empty", "-m", "x")
    assert (tmp_path / "ran").exists()  # the hook is a live one
    (tmp_path / "ran").unlink()
    GitRunner(tmp_path / "one").run("update-ref", "refs/heads/b", "HEAD")
    assert not (tmp_path / "ran").exists()


def test_a_call_that_takes_too_long_is_ended(tmp_path):
    runner = GitRunner(
        tmp_path, {"PATH": "/usr/bin:/bin"}, isolated=True, settings=("alias.nap=!sleep 60",), timeout_s=0.3
    )
    with pytest.raises(StoreUnreachable, match=r"no end after 0\.3 s"):
        runner.run("nap")


def test_missing_git_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing) as caught:
        GitRunner(None).run("version")
    assert "apt install git" in caught.value.next_step


def test_git_never_runs_in_another_folder_than_the_one_named(tmp_path):
    with pytest.raises(GitFault, match="not-there"):
        GitRunner(tmp_path / "not-there").run("version")


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("error: file write error: No space left on device", NoSpace),
        ("fatal: Unable to create '/k/.git/index.lock': File exists.", Locked),
        ("fatal: detected dubious ownership in repository at '/mnt/nas/o.git'", AccessDenied),
        ("ssh: connect to host x port 22: Connection refused\nfatal: x", StoreUnreachable),
        ("ssh: Could not resolve hostname x: Name or service not known", NetworkMissing),
        ("ssh: connect to host x port 22: Network is unreachable\nfatal: x", NetworkMissing),
        ("Host key verification failed.\nfatal: x", HostKeyUnknown),
        ("git@host: Permission denied (publickey).\nfatal: x", AccessDenied),
        ("fatal: could not read Username for 'https://host': terminal prompts disabled", AccessDenied),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", AccessDenied),
        ("remote: Repository not found.\nfatal: repository 'https://h/x.git/' not found", RepositoryMissing),
        ("fatal: '/v/x.git' does not appear to be a git repository\nfatal: x", RepositoryMissing),
        ("error: object 1234: hasDotgit: contains '.git'\nfatal: fsck error in packed object", HostileRepository),
        ("fatal: sha1 file 'objects/pack/tmp_pack_1' write error. Out of diskspace", NoSpace),
        ("fatal: something new", GitFault),
    ],
)  # fmt: skip
def test_each_failure_has_its_family(stderr, kind):
    fault = git_fault(stderr, doing="cannot fetch from /v/x.git", url="https://u:pw@h/x.git")
    assert type(fault) is kind
    assert "cannot fetch from /v/x.git" in fault.what
    assert fault.next_step
    assert "pw" not in fault.next_step


def test_a_full_disk_is_said_without_the_names_of_gits_own_files():
    fault = git_fault("fatal: sha1 file 'x' write error. Out of diskspace", doing="cannot commit to /k")
    assert fault.what == "cannot commit to /k: there is no space left"


def test_passwords_in_what_git_says_are_taken_out():
    fault = git_fault("fatal: unable to access 'https://u:hunter2@h/x.git/': boom", doing="x")
    assert "hunter2" not in fault.what
    assert "https://u@h/x.git/" in fault.what


@pytest.mark.parametrize("url", ["-u/x", "--upload-pack=touch x", "ext::sh -c x", "fd::1", "a\nb", "", "ssh://-oProxyCommand=x/y",
                                 "-x:y", "git+x::y"])  # fmt: skip
def test_addresses_that_could_run_something_are_refused(url):
    with pytest.raises(HostileRepository):
        check_url(url)


def test_addresses_are_understood():
    assert ssh_place("ssh://git@host:2222/ml/x.git") == command.SshPlace("git@host", 2222, "/ml/x.git")
    assert ssh_place("git@host:ml/x.git") == command.SshPlace("git@host", None, "ml/x.git")
    assert ssh_place("https://host/x") is None
    assert str(local_path("file:///a%20b/c")) == "/a b/c"
    assert local_path("git@host:ml/x.git") is None
    assert local_path("https://h/x") is None


@pytest.mark.parametrize("text", ["HEAD", "--help", "abc", "g" * 40, "a" * 41])
def test_only_full_ids_are_commits(text):
    with pytest.raises(HostileRepository):
        check_object_id(text)
