"""Two at once: in two clones of one keep, and in one clone. Nobody loses work, and whoever is refused is told why."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from object_server import credentials
from server_process import PATIENCE_S

#: Another was first, as it is said before and after the other's entry can be seen.
REFUSED = (12, 29)


@pytest.fixture
def clones(aiko, ken, keep, vault):
    """Aiko's clone and Ken's, each with its owner."""
    ken.run("git", "clone", "-q", vault / "git" / "keeps" / "keep.git", "keep")
    return (aiko, keep), (ken, ken.cwd / "keep")


@pytest.fixture
def sources(tmp_path):
    """Two folders of different data."""
    made = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "rows.csv").write_text(f"id,who\n1,{name}\n")
        made.append(folder)
    return made


def at_once(*calls):
    """Run all ``(person, folder, arguments)`` at the same time; exit code, output and errors of each."""
    running = [person.start(*arguments, cwd=folder) for person, folder, arguments in calls]
    told = [process.communicate(timeout=PATIENCE_S) for process in running]
    return [(process.returncode, *texts) for process, texts in zip(running, told, strict=True)]


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout.strip()


def registered(clones, vault):
    """``name@version`` to commit, the same in both clones; every one of them is what the vault has."""
    for person, folder in clones:
        person.run("git", "pull", "-q", "--ff-only", cwd=folder)
    heads = {git(folder, "rev-parse", "HEAD") for _, folder in clones}
    assert heads == {git(vault / "git" / "keeps" / "keep.git", "rev-parse", "main")}
    found = {}
    keep = clones[0][1]
    for path in sorted(keep.glob("register/*/*.yaml")):
        name, version = path.parent.name, path.stem
        found[f"{name}@{version}"] = re.search(r"^commit: (.+)$", path.read_text(), re.MULTILINE)[1]
        repository = vault / "git" / "datasets" / f"{name}.git"
        assert git(repository, "rev-parse", f"{version}^{{commit}}") == found[f"{name}@{version}"]
        newest = max(git(repository, "tag").split(), key=lambda tag: int(tag[1:]))
        assert git(repository, "rev-parse", "main") == git(repository, "rev-parse", f"{newest}^{{commit}}")
        pinned = git(keep, "rev-parse", f"HEAD:datasets/{name}")
        assert pinned == git(repository, "rev-parse", "main")
    for folder in (keep, clones[1][1], *(vault / "git").glob("*/*.git")):
        git(folder, "fsck", "--strict", "--no-dangling", "--no-progress")
        assert not list(Path(folder).rglob("tmp_*"))
    return found


def assert_refused(result):
    code, out, err = result
    assert code in REFUSED, result
    assert out == ""
    assert re.search(r"^error: .+\n  next: .+$", err, re.MULTILINE), err
    assert "Traceback" not in err


def test_different_datasets_in_two_clones_both_end_registered(clones, vault, sources, facts):
    for turn, backends in enumerate((("git", "dvc"), ("dvc", "dvc"))):
        calls = [
            (person, folder, ("register", f"{person.home.parent.name}-{turn}", source, "--backend", backend, *facts))
            for (person, folder), source, backend in zip(clones, sources, backends, strict=True)
        ]  # fmt: skip
        results = at_once(*calls)
        assert [code for code, _, _ in results] == [0, 0], results
    assert list(registered(clones, vault)) == ["aiko-0@v1", "aiko-1@v1", "ken-0@v1", "ken-1@v1"]


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_the_same_name_in_two_clones_is_one_dataset_and_one_clear_refusal(
    clones, vault, sources, facts, backend
):
    for turn in range(2):
        name = f"orders-{turn}"
        calls = [
            (person, folder, ("register", name, source, "--backend", backend, *facts))
            for (person, folder), source in zip(clones, sources, strict=True)
        ]
        results = at_once(*calls)
        lost, won = sorted(range(2), key=lambda who: results[who][0] == 0)
        assert results[won][0] == 0, results
        assert_refused(results[lost])
        assert name in results[lost][2]
        assert clones[won][0].email in results[lost][2], "it is said who was first"
        assert f"{name}@v1" in registered(clones, vault)
        by = git(vault / "git" / "datasets" / f"{name}.git", "log", "-1", "--format=%ae", "main")
        assert by == clones[won][0].email
        # It stays refused, now that the other's entry can be seen.
        assert_refused(at_once(calls[lost])[0])


def test_two_updates_of_one_dataset_at_once(clones, vault, sources, facts):
    (aiko, keep), _ = clones
    for backend in ("git", "dvc"):
        aiko.datakeep("register", backend, sources[0], "--backend", backend, *facts, cwd=keep)
        before = len(registered(clones, vault))
        calls = []
        for (person, folder), source in zip(clones, sources, strict=True):
            (source / "new.txt").write_text(f"{backend} {person.name}\n")
            calls.append((person, folder, ("update", backend, source, "-m", f"by {person.name}")))
        results = at_once(*calls)
        done = [code for code, _, _ in results if code == 0]
        assert done, results
        for result in results:
            if result[0] != 0:
                assert_refused(result)
        assert len(registered(clones, vault)) == before + len(done), results
        # Whoever was refused runs it again, and it becomes the version after.
        again = at_once(*(call for call, result in zip(calls, results, strict=True) if result[0] != 0))
        assert all(code == 0 for code, _, _ in again), again
        assert len(registered(clones, vault)) == before + 2


def test_two_commands_in_one_clone_take_turns(clones, vault, sources, facts):
    aiko, keep = clones[0]
    names = ("one", "two")
    calls = [
        (aiko, keep, ("register", name, source, "--backend", backend, *facts))
        for name, source, backend in zip(names, sources, ("git", "dvc"), strict=True)
    ]
    results = at_once(*calls, (aiko, keep, ("list", "--json")), (aiko, keep, ("status", "--json")))
    assert [code for code, _, _ in results[:3]] == [0, 0, 0], results
    assert results[3][0] in (0, 3), results
    assert list(registered(clones, vault)) == ["one@v1", "two@v1"]
    assert git(keep, "status", "--porcelain") == ""


def test_one_command_twice_in_one_clone_registers_once(clones, vault, sources, facts):
    aiko, keep = clones[0]
    command = ("register", "orders", sources[0], "--backend", "dvc", *facts)
    results = at_once((aiko, keep, command), (aiko, keep, command))
    assert [code for code, _, _ in results] == [0, 0], results
    assert list(registered(clones, vault)) == ["orders@v1"]


def test_one_update_twice_says_once_that_it_made_a_version(clones, vault, sources, facts):
    aiko, keep = clones[0]
    aiko.datakeep("register", "orders", sources[0], "--backend", "dvc", *facts, cwd=keep)
    (sources[0] / "new.txt").write_text("new\n")
    command = ("update", "orders", sources[0], "-m", "more")
    results = at_once((aiko, keep, command), (aiko, keep, command))
    assert [code for code, _, _ in results] == [0, 0], results
    said = sorted(out.splitlines()[0] for _, out, _ in results)
    assert said[0].startswith(("nothing differs from orders@v2", "nothing to record: aiko@")), results
    assert said[1] == "registered orders@v2: more", results
    assert list(registered(clones, vault)) == ["orders@v1", "orders@v2"]


def test_the_same_name_twice_in_one_clone_is_one_refusal(clones, vault, sources, facts):
    aiko, keep = clones[0]
    for turn in range(2):
        calls = [
            (aiko, keep, ("register", f"orders-{turn}", source, "--backend", "git", *facts))
            for source in sources
        ]
        results = sorted(at_once(*calls))
        assert results[0][0] == 0, results
        assert_refused(results[1])
        assert f"orders-{turn}@v1" in registered(clones, vault)


def test_two_verifications_in_one_clone_do_not_meet(aiko, trained):
    results = at_once(*[(aiko, trained, ("verify", "orders"))] * 2)
    assert [code for code, _, _ in results] == [0, 0], results
    assert len(list((trained / "proofs" / "orders" / "v2").iterdir())) == 2, "even within one second"
    assert len(list((trained / "models" / "orders").iterdir())) == 1
    assert [path.name for path in (trained / ".datakeep" / "rooms").iterdir()] == ["lock"]


def test_several_machines_write_into_one_bucket(new_world, s3_server, tmp_path, facts):
    """Two people, each with a home and a clone of their own; half of the files are the same."""
    url = f"s3://{s3_server.place()}?endpoint_url={s3_server.endpoint_url}&region=us-east-1"
    world = new_world("--vault-data", url, environment=credentials())
    world.ken.run("git", "clone", "-q", world.vault / "git" / "keeps" / "keep.git", "keep")
    clones = ((world.aiko, world.keep), (world.ken, world.ken.cwd / "keep"))
    sources = []
    for number in range(2):
        source = tmp_path / f"source-{number}"
        source.mkdir()
        for file in range(300):
            (source / f"{file}.txt").write_text(f"{file} {number if file % 2 else 'both'}\n" * 20)
        (source / "large.bin").write_bytes(bytes([number]) * 40_000_000)
        sources.append(source)
    calls = [
        (person, folder, ("register", person.home.parent.name, source, "--backend", "dvc", *facts))
        for (person, folder), source in zip(clones, sources, strict=True)
    ]
    assert [code for code, _, _ in at_once(*calls)] == [0, 0]
    for source in sources:
        (source / "again.txt").write_text(f"again {source.name}")
    calls = [
        (person, folder, ("update", "aiko", source, "-m", f"by {person.name}"))
        for (person, folder), source in zip(clones, reversed(sources), strict=True)
    ]
    results = at_once(*calls)
    refused = [call for call, result in zip(calls, results, strict=True) if result[0] != 0]
    for result in results:
        if result[0] != 0:
            assert_refused(result)
    assert all(code == 0 for code, _, _ in at_once(*refused))
    assert list(registered(clones, world.vault))[:2] == ["aiko@v1", "aiko@v2"]
    found = world.ken.datakeep("fsck", "--deep", "--json", cwd=clones[1][1], code=3).data  # one copy of two
    assert [state["whole"] - state["objects"] for state in found["versions"]] == [0] * len(found["versions"])
    assert (found["complaints"], found["unreferenced"]) == ([], {"main": 0})
