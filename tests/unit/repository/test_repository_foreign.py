"""Clones of what someone else wrote: bytes as they are in git, and nothing of either side runs."""

from __future__ import annotations

import os
import stat

import pytest

from datakeep.core.errors import (
    AccessDenied,
    AlreadyExists,
    DamagedBytes,
    HostileRepository,
    StoreUnreachable,
)
from datakeep.repository.faults import NeverPushed, RepositoryMissing, VersionLost
from datakeep.repository.foreign import Access, Limits, clone


class Foreign:
    """A repository that is made object by object, so that it can hold what git would not add."""

    def __init__(self, git, path):
        self.git, self.path, self.lines = git, path, []
        git("init", "-q", "--bare", "-b", "main", path)

    def put(self, path, data=b"x", mode="100644"):
        object_id = self.git("-C", self.path, "hash-object", "-w", "--stdin", stdin=data).strip()
        self.lines.append(f"{mode} {object_id}\t{path}")
        return self

    def pin(self, path, commit):
        self.lines.append(f"160000 {commit}\t{path}")
        return self

    def _tree(self, lines):
        """``mktree`` folder by folder: the index would refuse the names that attack."""
        here, below = [], {}
        for line in lines:
            facts, _, path = line.partition("\t")
            head, slash, rest = path.partition("/")
            if slash:
                below.setdefault(head, []).append(f"{facts}\t{rest}")
            else:
                kind = "commit" if facts.startswith("160000") else "blob"
                here.append(f"{facts.split()[0]} {kind} {facts.split()[1]}\t{path}\0")
        here += [f"040000 tree {self._tree(inner)}\t{name}\0" for name, inner in below.items()]
        return self.git("-C", self.path, "mktree", "-z", "--missing", stdin="".join(here).encode()).strip()

    def commit(self):
        identity = ("-c", "user.name=x", "-c", "user.email=x@y")
        commit = self.git(
            "-C", self.path, *identity, "commit-tree", self._tree(self.lines), "-m", "x"
        ).strip()
        self.git("-C", self.path, "update-ref", "refs/heads/main", commit)
        self.git("-C", self.path, "update-ref", "refs/tags/v1", commit)
        return commit


@pytest.fixture
def foreign(git, tmp_path):
    (tmp_path / "base").mkdir()
    return Foreign(git, tmp_path / "base/foreign.git")


@pytest.fixture
def take(foreign, tmp_path):
    def call(url=None, *, limits=None, access=None, **which):
        access = access or Access(allow_file=tmp_path / "base")
        which = which or {"tag": "v1"}
        return clone(str(url or foreign.path), tmp_path / "out", access=access, limits=limits, **which)

    return call


def nothing_left(tmp_path):
    return not [path for path in tmp_path.iterdir() if path.name == "out" or path.name.endswith(".partial")]


def test_a_tag_and_a_commit(foreign, take, git, tmp_path):
    commit = foreign.put("data/a.csv", b"a\r\n").put(".dvc/config", b"x").put("data/か\u3099.txt").commit()
    done = take(tag="v1", commit=commit)
    assert (done.path, done.commit, done.let_in) == (tmp_path / "out", commit, ())
    assert (tmp_path / "out/data/a.csv").read_bytes() == b"a\r\n"
    assert git("status", "--porcelain", cwd=tmp_path / "out") == ""
    assert git("remote", "get-url", "origin", cwd=tmp_path / "out").strip() == str(foreign.path)
    with pytest.raises(AlreadyExists):
        take(tag="v1")


def test_what_was_never_pushed_is_told_apart_from_what_is_not_there(foreign, take, tmp_path):
    commit = foreign.put("a").commit()
    with pytest.raises(VersionLost, match="no tag v2"):
        take(tag="v2")
    with pytest.raises(NeverPushed, match="aaaaaaaaaaaa"):
        take(commit="a" * 40)
    with pytest.raises(HostileRepository, match="not aaaaaaaaaaaa as registered"):
        take(tag="v1", commit="a" * 40)
    with pytest.raises(RepositoryMissing):
        take(tmp_path / "base/other.git", commit=commit)
    with pytest.raises(StoreUnreachable):
        take("https://127.0.0.1:1/x.git")
    assert issubclass(NeverPushed, DamagedBytes)
    assert nothing_left(tmp_path)


def test_a_commit_that_no_branch_leads_to_is_found(foreign, take, git):
    old = foreign.put("a").commit()
    foreign.put("b").commit()
    assert git("-C", foreign.path, "merge-base", "main", old, check=False).returncode == 1
    assert take(commit=old).commit == old


def test_only_the_vault_may_be_a_folder(foreign, take, tmp_path):
    foreign.put("a").commit()
    for access in (Access(), Access(allow_file=tmp_path / "elsewhere")):
        with pytest.raises(AccessDenied, match="is a folder of this machine"):
            take(access=access)
    (tmp_path / "base/link.git").symlink_to(tmp_path / "home")
    with pytest.raises(AccessDenied):
        take(tmp_path / "base/link.git")


def test_filters_and_line_ends_change_no_byte(foreign, take, git, tmp_path):
    git("config", "--global", "filter.evil.smudge", f"touch {tmp_path}/ran; cat")
    git("config", "--global", "core.autocrlf", "true")
    foreign.put(".gitattributes", b"* filter=evil text eol=crlf ident working-tree-encoding=UTF-16\n")
    commit = foreign.put("a.csv", b"$Id$\n\xff\r\n").commit()
    take(commit=commit)
    assert (tmp_path / "out/a.csv").read_bytes() == b"$Id$\n\xff\r\n"
    assert not (tmp_path / "ran").exists()


def test_rewrites_of_the_host_do_not_mask_a_dead_address(foreign, take, git, monkeypatch):
    foreign.put("a").commit()
    dead = "https://127.0.0.1:1/dead.git"
    git("config", "--global", f"url.{foreign.path}.insteadOf", dead)
    git("ls-remote", dead)  # works on this host
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1"):
        take(dead)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{foreign.path}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", dead)
    with pytest.raises(StoreUnreachable):
        take(dead)


def test_hooks_and_templates_of_the_host_do_not_run(foreign, take, git, home, tmp_path):
    hooks = home / "template/hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    foreign.put("a").commit()
    git("config", "--global", "init.templateDir", home / "template")
    git("config", "--global", "core.hooksPath", hooks)
    take()
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out/.git/hooks").exists()


@pytest.mark.parametrize(
    "attack",
    [
        lambda r: r.put("hooks", b".git/hooks", "120000"),
        lambda r: r.put("a", b"../../../etc/passwd", "120000"),
        lambda r: r.put("x/.git/config", b"[core]"),
        lambda r: r.put("x/.GIT/hooks/post-checkout", b"#!/bin/sh", "100755"),
        lambda r: r.put("git~1/config", b"x"),
        lambda r: r.put("../out.txt", b"x"),
        lambda r: r.put("data/a\nb", b"x"),
        lambda r: r.put("data/.g\u200cit/x", b"x"),
        lambda r: r.pin("sub", "a" * 40).put(
            ".gitmodules", b'[submodule "s"]\n\tpath = sub\n\turl = -u./x\n'
        ),
        lambda r: r.pin("sub", "a" * 40),
    ],
)
def test_trees_that_attack_are_refused_before_anything_is_written(foreign, take, tmp_path, attack):
    foreign.put("a.txt")
    attack(foreign)
    foreign.commit()
    before = {path for path in tmp_path.rglob("*") if "foreign.git" not in str(path)}
    with pytest.raises(HostileRepository):
        take()
    assert {path for path in tmp_path.rglob("*") if "foreign.git" not in str(path)} == before
    assert nothing_left(tmp_path)


def test_too_much_is_refused(foreign, take):
    foreign.put("a", b"x" * 5000).commit()
    with pytest.raises(HostileRepository, match="5000 bytes; 4999 are allowed"):
        take(limits=Limits(size_bytes=4999))
    assert take(limits=Limits(size_bytes=5000))


def test_a_tree_without_end_is_refused(foreign, take, git, monkeypatch):
    tree = git(
        "-C",
        foreign.path,
        "mktree",
        stdin=foreign.put("f").lines[0].replace(" ", " blob ", 1).encode() + b"\n",
    ).strip()
    for _ in range(8):
        listing = "".join(f"040000 tree {tree}\td{n}\n" for n in range(10))
        tree = git("-C", foreign.path, "mktree", stdin=listing.encode()).strip()
    commit = git("-C", foreign.path, "commit-tree", tree, "-m", "bomb").strip()
    git("-C", foreign.path, "update-ref", "refs/tags/v1", commit)
    monkeypatch.setattr("datakeep.repository.foreign._MAX_ENTRIES", 10_000)
    with pytest.raises(HostileRepository, match="more than 10000 files"):
        take()


def test_links_of_training_code_stay_inside(foreign, take, tmp_path):
    foreign.put("src/a.py").put("link.py", b"src/a.py", "120000").put("deep/up", b"../src", "120000").commit()
    take(limits=Limits(allow_symlinks=True))
    assert (tmp_path / "out/link.py").resolve() == tmp_path / "out/src/a.py"


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../x", b".git/hooks", b"src/../../x", b"a/.GIT/config"])
def test_links_of_training_code_that_lead_out_are_refused(foreign, take, target):
    foreign.put("src/a.py").put("link", target, "120000").commit()
    with pytest.raises(HostileRepository):
        take(limits=Limits(allow_symlinks=True))


def test_submodules_of_training_code(foreign, take, git, tmp_path):
    inner = Foreign(git, tmp_path / "base/inner.git")
    pinned = inner.put("lib.py", b"lib").commit()
    modules = b'[submodule "inner"]\n\tpath = third/inner\n\turl = ../inner.git\n'
    foreign.put(".gitmodules", modules).pin("third/inner", pinned).commit()
    take(limits=Limits(submodules=True))
    assert (tmp_path / "out/third/inner/lib.py").read_bytes() == b"lib"


@pytest.mark.parametrize(
    ("fact", "kind"),
    [
        ("url = -u./payload", HostileRepository),
        ("url = ext::sh -c true", HostileRepository),
        ("url = ../inner.git\n\tupdate = !touch x", HostileRepository),
        ("url = /etc", AccessDenied),
        ("url = ../dead.git", RepositoryMissing),
    ],
)
def test_submodules_that_attack(foreign, take, tmp_path, fact, kind):
    foreign.put(".gitmodules", f'[submodule "s"]\n\tpath = sub\n\t{fact}\n'.encode()).pin(
        "sub", "a" * 40
    ).commit()
    with pytest.raises(kind):
        take(limits=Limits(submodules=True))
    assert nothing_left(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to someone else")
def test_a_vault_of_another_owner_is_trusted_by_its_path(foreign, take):
    foreign.put("a").commit()
    for path in [foreign.path, *foreign.path.rglob("*")]:
        os.chown(path, 12345, 12345)
    assert take().commit


def test_credentials_are_let_in_by_kind(foreign, tmp_path, monkeypatch):
    """The stand-in for ssh shows with what git called it."""
    log = tmp_path / "log"
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "ssh").write_text(f'#!/bin/sh\necho "$@" > {log}\nenv >> {log}\nexit 255\n')
    (bin_folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    by_agent, key = Access(home=tmp_path), tmp_path / "k"
    by_key = Access(ssh_key=key, home=tmp_path)
    for access, expected, agent in ((by_agent, "=none", True), (by_key, f"={key}", False)):
        with pytest.raises(StoreUnreachable):
            clone("ssh://git@host.example/x.git", tmp_path / "out", tag="v1", access=access)
        text = log.read_text()
        assert f"IdentityFile{expected}" in text
        assert f"UserKnownHostsFile={tmp_path}/.ssh/known_hosts" in text
        assert "-F /dev/null" in text
        assert ("SSH_AUTH_SOCK=/agent" in text) is agent
        assert "s3cret" not in text


def test_the_credential_helper_sees_the_home_and_git_does_not(home):
    from datakeep.repository.foreign import _config_text

    text = _config_text("https://h/x.git", Access(credential_helper="store", home=home))
    assert f'helper = "!HOME={home} git credential-store"' in text
    assert "helper" not in _config_text("https://h/x.git", Access())


def test_files_are_not_executable_by_surprise(foreign, take, tmp_path):
    foreign.put("run.sh", b"x", "100755").put("a").commit()
    take()
    assert (tmp_path / "out/run.sh").stat().st_mode & stat.S_IXUSR
    assert not (tmp_path / "out/a").stat().st_mode & stat.S_IXUSR
