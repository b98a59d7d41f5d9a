"""Bare repositories: made, found, written by turns, and what is said when they are not there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from server_process import free_port

from datakeep.core.errors import (
    GitFault,
    HostileRepository,
    Locked,
    ProgramMissing,
    StoreMissing,
    StoreUnreachable,
    Unsupported,
)
from datakeep.repository import vault
from datakeep.repository.command import GitRunner
from datakeep.repository.faults import RepositoryMissing
from datakeep.repository.locking import exclusive, remove_stale_locks
from datakeep.repository.vault import create_bare, dataset_url, exists, fsck, keep_url, push, writing


def test_urls():
    assert keep_url("ssh://git@h/ml/", "v") == "ssh://git@h/ml/keeps/v.git"
    assert dataset_url("/nas/git", "orders") == "/nas/git/datasets/orders.git"


def test_create_once(base, git):
    url = dataset_url(str(base), "orders")
    assert not exists(url)
    assert create_bare(url, name="orders")
    assert not create_bare(url, name="orders")
    assert exists(url)
    assert exists(f"file://{url}")
    assert fsck(url) == []
    assert git("-C", url, "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert sorted(path.name for path in (base / "datasets").iterdir()) == ["orders.git", "orders.git.lock"]


def test_a_missing_base_is_never_made_in_passing(base):
    url = dataset_url(str(base / "unmounted"), "orders")
    for call in (exists, lambda url: create_bare(url, name="orders")):
        with pytest.raises(StoreMissing, match="is the share mounted"):
            call(url)
    assert not (base / "unmounted").exists()
    assert create_bare(url, name="orders", make_base=True)


def test_something_else_in_its_place_is_said(base):
    (base / "datasets/orders.git").mkdir(parents=True)
    url = dataset_url(str(base), "orders")
    with pytest.raises(StoreUnreachable, match="is not a git repository"):
        create_bare(url, name="orders")


def test_what_a_killed_creation_left_is_cleared(base):
    (base / "datasets/.orders.git.999.new/refs").mkdir(parents=True)
    create_bare(dataset_url(str(base), "orders"), name="orders")
    assert not list((base / "datasets").glob(".*"))


def test_a_base_shared_by_a_group_stays_shared(base):
    (base / "datasets").mkdir()
    (base / "datasets").chmod(0o2775)
    create_bare(dataset_url(str(base), "orders"), name="orders")
    assert (base / "datasets/orders.git/objects").stat().st_mode & stat.S_IWGRP


def test_unreachable_and_hosted():
    with pytest.raises(StoreUnreachable):
        exists("https://127.0.0.1:1/x.git")
    with pytest.raises(HostileRepository):
        exists("ext::sh -c true")


def test_a_hosted_base_says_what_to_type(monkeypatch):
    monkeypatch.setattr(vault, "exists", lambda url: False)
    with pytest.raises(Unsupported, match="does not exist") as caught:
        create_bare("https://git.corp.example/ml/datasets/x.git", name="x")
    assert "create_command" in caught.value.next_step
    with pytest.raises(GitFault, match="exit code 3 for x: no quota"):
        create_bare(
            "https://h/x.git",
            [sys.executable, "-c", "import sys; print('no quota', file=sys.stderr); sys.exit(3)"],
            name="x",
        )
    with pytest.raises(ProgramMissing, match="'no-such-program'"):
        create_bare("https://h/x.git", ["no-such-program", "{name}"], name="x")


def test_create_command_gets_the_name(monkeypatch, tmp_path):
    answers = iter([False, True])
    monkeypatch.setattr(vault, "exists", lambda url: next(answers))
    out = tmp_path / "argv"
    command = [
        sys.executable,
        "-c",
        "import sys; open(sys.argv[1], 'w').write(sys.argv[2])",
        str(out),
        "ml/{name}",
    ]
    assert create_bare("https://h/orders.git", command, name="orders")
    assert out.read_text() == "ml/orders"


@pytest.fixture
def work(tmp_path, git):
    """A repository with one commit; its runner and the commit."""
    git("init", "-q", "-b", "main", "work")
    git("-C", "work", "commit", "-q", "--allow-empty", "-m", "one")
    return GitRunner(tmp_path / "work"), git("-C", "work", "rev-parse", "HEAD").strip()


def test_push_is_all_or_nothing(base, work, git):
    runner, one = work
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    updates = [f"{one}:refs/heads/main", f"{one}:refs/tags/v1"]
    assert push(runner, url, updates) == "done"
    assert push(runner, url, updates) == "already there"
    other = git("-C", "work", "commit-tree", f"{one}^{{tree}}", "-m", "unrelated").strip()
    assert push(runner, url, [f"{other}:refs/heads/main", f"{other}:refs/tags/v2"]) == "taken"
    assert git("-C", url, "tag").split() == ["v1"]
    assert push(runner, url, [f"{other}:refs/tags/v1"]) == "taken"
    assert git("-C", url, "rev-parse", "v1").strip() == one


def _plain_git_cannot_change_versions(git, url, one):
    git(
        "-C",
        "work",
        "push",
        "-q",
        url,
        f"{one}:refs/heads/main",
        f"{one}:refs/tags/v1",
        f"{one}:refs/tags/mine",
    )
    other = git("-C", "work", "commit-tree", f"{one}^{{tree}}", "-m", "other").strip()
    for change in (
        f"+{other}:refs/tags/v1",
        ":refs/tags/v1",
        f"+{other}:refs/heads/main",
        ":refs/heads/main",
    ):
        refused = git("-C", "work", "push", url, change, check=False)
        assert refused.returncode == 1, change
        if "tags" in change:
            assert b"refs/tags/v1 is a registered version" in refused.stderr
    git(
        "-C",
        "work",
        "push",
        "-q",
        url,
        f"{one}:refs/tags/v1",
        f"{other}:refs/tags/v2",
        f"+{other}:refs/tags/mine",
    )
    assert git("-C", "work", "ls-remote", url, "v1").split()[0] == one


def test_a_version_is_not_moved_or_deleted_by_plain_git(base, work, git):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    _plain_git_cannot_change_versions(git, url, work[1])


def test_push_to_nothing(base, work):
    with pytest.raises(RepositoryMissing):
        push(work[0], dataset_url(str(base), "gone"), [f"{work[1]}:refs/heads/main"])


def test_hooks_of_the_vault_do_not_run_here(base, work, tmp_path):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    hook = base / "datasets/orders.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    assert push(work[0], url, [f"{work[1]}:refs/heads/main"]) == "done"
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to someone else")
def test_a_share_of_another_owner_works(base, work):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    for path in [base / "datasets/orders.git", *(base / "datasets/orders.git").rglob("*")]:
        os.chown(path, 12345, 12345)
    assert exists(url)
    assert push(work[0], url, [f"{work[1]}:refs/heads/main"]) == "done"
    assert fsck(url) == []


def test_locks_of_a_killed_push_are_waited_out_and_removed(base, work):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    lock = base / "datasets/orders.git/refs/heads/main.lock"
    lock.touch()
    assert push(work[0], url, [f"{work[1]}:refs/heads/main"]) == "done"
    assert not lock.exists()


def test_young_locks_stay(base):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    repository = base / "datasets/orders.git"
    young, old = repository / "refs/heads/a.lock", repository / "packed-refs.lock"
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 10,) * 2)
    remove_stale_locks(repository)
    assert young.exists()
    assert not old.exists()


def test_writers_take_turns(base):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    inside, most = [], []

    def write():
        with writing(url):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    with (
        exclusive(base / "x"),
        pytest.raises(Locked, match=r"more than 0\.1 s"),
        exclusive(base / "x", timeout_s=0.1),
    ):
        pass


def test_fsck_names_damage(base, work):
    url = dataset_url(str(base), "orders")
    create_bare(url, name="orders")
    push(work[0], url, [f"{work[1]}:refs/heads/main"])
    shutil.rmtree(base / "datasets/orders.git/objects" / work[1][:2])
    assert any(work[1] in line for line in fsck(url))


class Ssh:
    """A host that is reached by ssh: a real sshd on loopback where there is one, else a stand-in for the client."""

    def __init__(self, tmp_path, monkeypatch):
        self.server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        self.process = None
        stand_in = tmp_path / "ssh"
        stand_in.write_text(
            '#!/bin/sh\nwhile [ "$1" = -p ] || [ "$1" = -o ]; do shift 2; done\nshift\nexec sh -c "$*"\n'
        )
        stand_in.chmod(0o755)
        self.prefix = "ssh://git@host.example"
        self.command = str(stand_in)
        if self.server:
            self._start(tmp_path)
        monkeypatch.setenv("GIT_SSH_COMMAND", self.command)

    def _start(self, tmp_path):
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
        port = free_port()
        (tmp_path / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
            f"StrictModes no\nPermitRootLogin yes\nPidFile none\nUsePAM no\nPasswordAuthentication no\n"
        )
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen([self.server, "-D", "-e", "-f", tmp_path / "sshd_config"])
        options = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={tmp_path}/known -i {tmp_path}/user"
        self.command = f"ssh -F /dev/null {options}"
        self.prefix = f"ssh://127.0.0.1:{port}"
        for _ in range(30):
            if self.process.poll() is not None:
                break  # root needs a user sshd for it, for example
            if (
                subprocess.run(
                    [*self.command.split(), "-p", str(port), "127.0.0.1", "true"], check=False
                ).returncode
                == 0
            ):
                return
            time.sleep(0.1)
        self.prefix, self.command = "ssh://git@host.example", str(tmp_path / "ssh")


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    host = Ssh(tmp_path, monkeypatch)
    yield host
    if host.process:
        host.process.terminate()
        host.process.wait()


def test_creation_over_ssh(base, work, ssh, git):
    url = dataset_url(f"{ssh.prefix}{base}/it's a base", "orders")
    with pytest.raises(StoreMissing, match="is the share mounted there"):
        create_bare(url, name="orders")
    assert create_bare(url, name="orders", make_base=True)
    assert not create_bare(url, name="orders")
    assert push(work[0], url, [f"{work[1]}:refs/heads/main"]) == "done"
    assert fsck(url) == []
    made = base / "it's a base/datasets/orders.git"
    assert fsck(str(made)) == []
    _plain_git_cannot_change_versions(git, str(made), work[1])


def test_a_host_that_lets_nobody_create(monkeypatch, tmp_path):
    stand_in = tmp_path / "ssh"
    stand_in.write_text('#!/bin/sh\necho "fatal: unrecognized command" >&2\nexit 128\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(stand_in))
    monkeypatch.setattr(vault, "exists", lambda url: False)
    with pytest.raises(Unsupported, match="does not let datakeep create repositories") as caught:
        create_bare("git@host.example:ml/datasets/x.git", name="x")
    assert "by hand" in caught.value.next_step
