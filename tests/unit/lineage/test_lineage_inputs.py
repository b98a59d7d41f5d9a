"""Each file that a training read is in exactly one class, and no file of data is hidden in another."""

from __future__ import annotations

import pytest

from datakeep.lineage.inputs import (
    Places,
    classify,
    may_hold_a_secret,
    package_folders,
    possible_prefixes,
    sources_of_compiled,
)

PLACES = Places(
    data={"/keep/.datakeep/given/orders/ab/data": "orders@v3"},
    code="/home/u/code",
    tracked=frozenset({"train.py", "vocabulary.txt", "tracked.csv"}),
    own=("/home/u/code/out",),
    prefixes=("/home/u/code/.venv", "/opt/conda"),
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/keep/.datakeep/given/orders/ab/data/train/a.csv", "datasets"),
        ("/keep/.datakeep/given/orders/abc/data/a.csv", "undeclared"),
        ("/home/u/code/train.py", "code"),
        ("/home/u/code/new_module.py", "code"),
        ("/home/u/code/vocabulary.txt", "code"),
        ("/home/u/code/other.txt", "undeclared"),
        ("/home/u/code/tracked.csv", "undeclared"),
        ("/home/u/code/.git/HEAD", "code"),
        ("/home/u/code2/train.csv", "undeclared"),
        ("/home/u/shared/helper.py", "undeclared"),
        ("/home/u/code/.venv/lib/python3.11/site-packages/sklearn/data.csv", "environment"),
        ("/home/u/code/.venv/pyvenv.cfg", "environment"),
        ("/home/u/code/.venv/data.csv", "undeclared"),
        ("/opt/conda/lib/libmkl.so", "environment"),
        ("/opt/data/a.csv", "undeclared"),
        ("/home/u/.local/lib/python3.11/site-packages/x.py", "environment"),
        ("/home/u/.local/share/a.csv", "undeclared"),
        ("/usr/share/zoneinfo/UTC", "system"),
        ("/etc/hosts", "system"),
        ("/etcetera/a.csv", "undeclared"),
        ("/dev/shm/a.npy", "undeclared"),
        ("/run/media/aiko/DISK/images/1.png", "undeclared"),
        ("/run/user/1000/gvfs/smb-share:server=nas,share=ml/notes.txt", "undeclared"),
        ("/run/user/1000/bus.txt", "system"),
        ("/dev/urandom", "system"),
        ("/mnt/nfs/a.parquet", "undeclared"),
        ("/home/u/code/out/model.bin", None),
        ("/home/u/.cache/matplotlib/fontlist-v390.json", "environment"),
        ("/tmp/matplotlib-x1/fontlist-v330.json", "environment"),
        ("/home/u/code/fontlist.json", "undeclared"),
        ("/home/u/.cache/fontconfig/3830d5c3ddfd5cd38a049b759396e72e-le64.cache-9", "environment"),
        ("/home/u/.cache/fontconfig/mine.csv", "undeclared"),
        ("/home/u/pyc/home/u/code/train.cpython-311.pyc", "environment"),
        ("/home/u/code/__pycache__/train.cpython-311.pyc", "environment"),
        ("/home/u/.cache/pip/http-v2/a/b/abc", "environment"),
        ("/home/u/.cache/pip/http-v2/a.npy", "undeclared"),
        ("/home/u/.cache/pip/notes", "undeclared"),
        ("/home/u/.cache/uv/archive-v0/x1/six.py", "environment"),
        ("/home/u/.cache/uv/archive-v0/x1/sklearn/data/iris.csv", "undeclared"),
        ("/home/u/.cache/huggingface/token", "system"),
        ("/home/u/.cache/huggingface/hub/version.txt", "system"),
        ("/home/u/.cache/huggingface/hub/models--bert/blobs/abc", "undeclared"),
        ("/home/u/.cache/huggingface/datasets/imdb/a.arrow", "undeclared"),
        ("/home/u/.config/matplotlib/matplotlibrc", "system"),
        ("/home/u/.triton/cache/abc/kernel.cubin", "environment"),
    ],
)
def test_every_file_is_in_one_class(path: str, kind: str | None) -> None:
    found = classify([path], PLACES)
    classes = {name: getattr(found, name) for name in ("undeclared", "code", "environment", "system")}
    classes["datasets"] = found.datasets["orders@v3"]
    assert [name for name, paths in classes.items() if paths] == ([kind] if kind else [])


def test_parameters_are_found_wherever_they_lie() -> None:
    found = classify(["/home/u/code/params.yaml", "/home/u/params.json", "/home/u/code/params.csv"], PLACES)
    assert found.parameters == ["/home/u/code/params.yaml", "/home/u/params.json"]
    assert found.code == ["params.yaml"]


def test_prefixes_and_package_folders_are_told_by_what_was_read() -> None:
    paths = ["/a/lib/python3.12/os.py", "/b/pyvenv.cfg", "/c/lib/python3/dist-packages/x/y.py", "/d/e.py"]
    assert possible_prefixes(paths) == {"/a", "/b"}
    assert package_folders(paths) == {"/c/lib/python3/dist-packages"}


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/home/u/.ssh/config", True),
        ("/home/u/.netrc", True),
        ("/home/u/.cache/huggingface/token", True),
        ("/srv/key.pem", True),
        ("/home/u/code/.env", True),
        ("/home/u/id_map/a.csv", False),
        ("/home/u/data/netrc.csv", False),
    ],
)
def test_places_of_secrets(path: str, is_one: bool) -> None:
    assert may_hold_a_secret(path) == is_one


@pytest.mark.parametrize(
    ("path", "is_data"),
    [
        ("/v/lib/python3.11/site-packages/sklearn/datasets/data/iris.csv", True),
        ("/v/lib/python3.11/site-packages/sklearn/datasets/data/digits.csv.gz", True),
        ("/v/lib/python3.11/site-packages/sklearn/datasets/images/china.jpg", True),
        ("/v/lib/python3.11/site-packages/x.csv", True),
        ("/usr/local/share/plant/table.json", True),
        ("/usr/share/corpus.parquet", True),
        ("/v/lib/python3.11/site-packages/pandas/core/frame.py", False),
        ("/v/lib/python3.11/site-packages/numpy/core/_multiarray.so", False),
        ("/v/lib/python3.11/site-packages/editable.pth", False),
        ("/v/lib/python3.11/site-packages/certifi/cacert.pem", False),
        ("/v/lib/python3.11/site-packages/botocore/data/endpoints.json", False),
        ("/v/lib/python3.11/site-packages/matplotlib/mpl-data/images/home.png", False),
        ("/v/lib/python3.11/site-packages/pandas-2.0.dist-info/RECORD", False),
        ("/usr/share/zoneinfo/Asia/Tokyo", False),
        ("/usr/share/locale/ja/x.dat", False),
        ("/etc/aliases.db", False),
    ],
)
def test_data_that_came_with_software_is_told_apart(path: str, is_data: bool) -> None:
    found = classify([path], Places(data={}, code=None, prefixes=("/v",)))
    assert bool(found.shipped) == is_data
    assert found.undeclared == []


@pytest.mark.parametrize(
    ("path", "is_data"),
    [
        ("/etc/table.csv", True),
        ("/run/x.parquet", True),
        ("/var/cache/plant/x.npy", True),
        ("/boot/x.csv", True),
        ("/etc/aliases.db", False),
        ("/run/udev/data/x.bin", False),
        ("/var/cache/ldconfig/aux-cache", False),
        ("/etc/passwd", False),
        ("/proc/x.csv", False),
    ],
)
def test_data_that_somebody_put_among_the_systems_files_is_undeclared(path: str, is_data: bool) -> None:
    found = classify([path], Places(data={}, code=None))
    assert (found.undeclared, found.system) == (([path], []) if is_data else ([], [path]))


def test_a_compiled_module_is_known_by_its_source() -> None:
    compiled = "/work/pkg/__pycache__/mod.cpython-311.opt-1.pyc"
    installed = "/v/lib/python3.11/site-packages/p/__pycache__/m.cpython-311.pyc"
    assert sources_of_compiled([compiled, installed, "/work/pkg/a.py"]) == ["/work/pkg/mod.py"]
