"""Disks that are full, read-only or not mounted: three words, nothing lost, and the same command goes on later."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Runs in a mount namespace of its own, where it may mount small disks. Its file descriptors keep them there.
INSIDE = """
import json, os, shutil, subprocess, sys
from pathlib import Path

KEEP, SMALL, READY = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])


def mount(*options):
    subprocess.run(["mount", *options, str(SMALL)], check=True)  # a bind mount: onto itself


def small_disk():
    # What lies at SMALL comes to lie on a disk of its own, of 24 MB.
    aside = SMALL.with_name(SMALL.name + ".aside")
    SMALL.mkdir(exist_ok=True)
    shutil.copytree(SMALL, aside, symlinks=True)
    mount("-t", "tmpfs", "-o", "size=24m", "tmpfs")
    shutil.copytree(aside, SMALL, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(aside)


def datakeep(*arguments):
    argv = [sys.executable, "-m", "datakeep", *arguments, "--json"]
    done = subprocess.run(argv, cwd=KEEP, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    found = {name: answer.get(name) for name in ("error", "handed_in", "proof", "not_pushed")}
    return found | {"code": done.returncode, "err": done.stderr}


def fill(left_bytes):
    space = os.statvfs(SMALL)
    (SMALL / "filler").write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - left_bytes)))


def temporary():
    found = [str(path) for path in SMALL.rglob("*") if path.name.startswith(("tmp_", "fast_import", "datakeep-"))]
    return [path for path in found if "datakeep-store.json" not in path]


def try_full(*command, left_bytes=0):
    fill(left_bytes)
    full = datakeep(*command)
    full["left"] = temporary()
    (SMALL / "filler").unlink()
    return full, datakeep(*command)
"""


@pytest.fixture
def big(trained, orders):
    """The orders, and five megabytes that do not compress."""
    for number in range(5):
        (orders / f"{number}.bin").write_bytes(os.urandom(1_000_000))
    return orders


def inside(person, keep, small, script, **ready):
    """What ``script`` prints as JSON; it runs with a disk of its own, as root of its own namespace."""
    argv = ["unshare", "-Urm", sys.executable, "-c", INSIDE + script, keep, small, json.dumps(ready)]
    return json.loads(person.run(*argv).out)


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout.strip()


def assert_full(answer, name="it"):
    """One clear error of the right family, nothing half-written; and done, once there was room."""
    full, again = answer
    assert full["code"] == 19, (name, full, again)
    assert full["error"]["id"] == "no-space"
    assert full["error"]["next"]
    assert "Traceback" not in full["err"]
    assert full["left"] == []
    assert again["code"] == 0, again


FULL = """
small_disk()
register = ["register", "big", READY["big"], "--backend", READY["backend"], *READY["facts"]]
update = ["update", "orders", READY["big"], "-m", "bigger"]
answers = {
    "register": try_full(*register, left_bytes=2_000_000),
    "update": try_full(*update),
    "verify": try_full("verify", "orders@v3", left_bytes=READY["left_bytes"]),
}
fill(0)
answers["looking"] = [datakeep("list"), {}]
print(json.dumps(answers))
"""
# Where there is no room, for what kind of data, with how much left at verify; who notices, and who can foresee it.
PLACES = {
    "store": ("keep.vault/data", "dvc", 0, {"register", "update"}, {"register", "update"}),
    "git base": ("keep.vault/git", "git", 0, {"register", "update"}, {"register"}),
    "keep": ("keep", "git", 2_000_000, {"register", "update", "verify"}, {"register", "verify"}),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_full_disk_is_said_and_the_same_command_goes_on_later(aiko, trained, big, facts, place):
    small, backend, left_bytes, affected, foreseen = PLACES[place]
    answers = inside(
        aiko, trained, aiko.cwd / small, FULL, big=str(big), backend=backend, facts=facts, left_bytes=left_bytes
    )  # fmt: skip
    assert answers.pop("looking")[0]["code"] == 0, "looking needs no space"
    for name, (full, again) in answers.items():
        if name in affected:
            assert_full((full, again), name)
        else:
            assert (full["code"], again["code"]) == (0, 0), (name, full, again)
        if name in foreseen:
            assert "needed" in full["error"]["what"], (name, full)
            assert "MB more on" in full["error"]["what"]
    if place == "git base":  # what a verification found is not lost with the place for it
        lost = answers["verify"][0]
        assert not lost["handed_in"]
        assert "no space left" in lost["not_pushed"]
        assert (trained / lost["proof"]).is_file()
        aiko.datakeep("proof", "add", lost["proof"], cwd=trained)


FULL_TMPDIR = """
small_disk()
os.environ["TMPDIR"] = str(SMALL)
print(json.dumps(try_full("verify", "orders")))
"""


def test_a_full_folder_for_temporary_files_stops_nothing_or_is_said(aiko, trained, tmp_path):
    full, again = inside(aiko, trained, tmp_path / "small", FULL_TMPDIR)
    if full["code"] != 0:
        assert_full((full, again))
    assert full["left"] == []
    assert again["code"] == 0, again


READ_ONLY = """
mount("--bind", str(SMALL))
mount("-o", "remount,ro,bind")
register = ["register", "new", READY["source"], *READY["facts"], "--backend"]
update = ["update", "orders", "--title", "another", "-m", "renamed"]
commands = [[*register, "git"], [*register, "dvc"], update, ["verify", "orders"], ["list"]]
print(json.dumps([datakeep(*command) for command in commands]))
"""


def test_a_read_only_vault_is_one_clear_error(aiko, trained, vault, orders, facts):
    before = git(vault / "git" / "keeps" / "keep.git", "rev-parse", "main")
    *refused, verified, listed = inside(aiko, trained, vault, READ_ONLY, source=str(orders), facts=facts)
    for answer in refused:
        assert answer["code"] == 18, answer
        assert answer["error"]["id"] == "access-denied"
        assert "read-only" in answer["error"]["what"].lower()
        assert str(vault) in answer["error"]["what"]
        assert answer["error"]["next"]
        assert "Traceback" not in answer["err"]
    # Whoever may only read can verify all the same; the proof is kept as a file to hand in.
    assert verified["code"] == 0, verified
    assert listed["code"] == 0
    assert len(list(trained.glob("orders-v2-*.dsse.json"))) == 1
    assert git(vault / "git" / "keeps" / "keep.git", "rev-parse", "main") == before
    assert git(trained, "rev-parse", "HEAD") == before


@pytest.mark.parametrize(("part", "backend"), [("data", "dvc"), ("git", "git")])
def test_an_unmounted_vault_is_said_and_never_made_anew(aiko, keep, vault, orders, facts, part, backend):
    place, aside = vault / part, vault / f"{part}.aside"
    aiko.datakeep("register", "orders", orders, "--backend", backend, *facts, cwd=keep)
    register = ("register", "new", orders, "--backend", backend, *facts)
    place.rename(aside)
    for emptied in (False, True):
        if emptied:  # the mount point of a share is there without it
            place.mkdir()
        for command in (register, ("update", "orders", "--title", "x", "-m", "x")):
            ran = aiko.datakeep(*command, "--json", cwd=keep, code=17)
            error = ran.data["error"]
            assert error["id"] == ("store-unmarked" if emptied and part == "data" else "store-missing")
            assert str(place) in error["what"]
            assert "is the share mounted?" in error["what"]
            assert "Traceback" not in ran.err
        told = aiko.datakeep("vault", "list", "--json", cwd=keep, code=3).data
        found = {one["name"]: one["fault"] for one in told["places"]}
        assert "is the share mounted?" in found["main" if part == "data" else "git"]
        assert place.exists() == emptied
        assert not emptied or not any(place.iterdir()), "nothing was put where the share belongs"
    place.rmdir()
    aside.rename(place)
    aiko.datakeep(*register, cwd=keep)
