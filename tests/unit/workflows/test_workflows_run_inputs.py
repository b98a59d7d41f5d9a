"""What a training read: of many files, each folder is looked at once, and no row is read that tells nothing."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

from datakeep.formats.inventory import Inventory
from datakeep.workflows.given_data import Given, provide
from datakeep.workflows.inventories import load_inventory
from datakeep.workflows.run_inputs import Checkouts, given_inputs


def test_each_folder_is_asked_once_what_checkout_it_lies_in(bench, tmp_path, monkeypatch):
    entry = bench.register(backend="git")
    checkout = tmp_path / "here" / "checkout"
    clone = ["git", "clone", "-q", "--", str(bench.keep.dataset_repository("orders").cache), str(checkout)]
    subprocess.run(clone, check=True)
    subprocess.run(["git", "-C", str(checkout), "checkout", "-q", entry.version], check=True)
    data, other = checkout / "data" / "画像", tmp_path / "here" / "other" / "deep"
    looked: Counter[Path] = Counter()
    is_file = Path.is_file

    def counted(path):
        looked[path] += 1
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", counted)
    finder = Checkouts(bench.keep)
    for name in range(50):
        assert finder.version_of(str(data / f"{name}.txt")) == "orders@v1"
        assert finder.below(str(data / f"{name}.txt")) == f"data/画像/{name}.txt"
        assert finder.version_of(str(other / f"{name}.txt")) is None
    assert finder.version_of(str(checkout / "dataset.yaml")) == "orders@v1"
    assert set(looked.values()) == {1}
    assert looked.keys() >= {one / "dataset.yaml" for one in (data, checkout, other, tmp_path)}


def test_what_a_run_was_given_is_known_by_its_place(bench):
    entry = bench.register()
    given = provide(bench.keep, entry)
    assert Checkouts(bench.keep).version_of(str(given.data / "画像" / "一.txt")) == "orders@v1"
    elsewhere = str(given.data).replace(entry.content.removeprefix("sha256:"), "0" * 64)
    assert Checkouts(bench.keep).version_of(f"{elsewhere}/a.txt") is None


def test_rows_are_read_only_where_it_is_known_when_files_were_opened(bench, monkeypatch):
    entry = bench.register()
    given = Given(entry, load_inventory(bench.keep, entry), bench.source, fetched=False)
    files, reads = Inventory.files, []
    monkeypatch.setattr(Inventory, "files", property(lambda self: reads.append(self) or files.fget(self)))
    (untimed,) = given_inputs([given], {"orders@v1": {"a.txt"}}).datasets
    assert (untimed.files_read.count, untimed.files_read.of, reads) == (1, 3, [])
    opened = {f"{bench.source}/a.txt": 5.0}
    (timed,) = given_inputs([given], {"orders@v1": {"a.txt"}}, opened, 4.0).datasets
    assert timed.files_read.list == untimed.files_read.list
    assert reads
