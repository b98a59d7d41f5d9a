from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import json
import re
import struct
import subprocess
import sys
import tomllib
import zlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from datakeep.formats.manifest import Manifest
from datakeep.samples import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

# the digests are written here by hand: they pin the bytes that the upstream wheels hold
SHIPPED = {
    "penguins": ("penguins.csv", "f204db2c753b0937caac3cb35258562c14f073e4bbc76be24b4c51ce22767a93"),
    "digits": ("digits.csv.gz", "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"),
}
DIGITS_LISTING = "4bb1d27861b51f98c58e7b4a30cc4c30dd79b693ae6280a09b1ccdc0b416a5ee"
each_sample = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


def decode_png(data: bytes) -> list[int]:
    """Reads an 8x8 greyscale PNG by the book, checksums included."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = [], 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length) == (zlib.crc32(kind + body),)
        chunks.append((kind, body))
        place += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", chunks[0][1]) == (8, 8, 8, 0, 0, 0, 0)
    lines = zlib.decompress(chunks[1][1])
    assert len(lines) == 8 * 9
    assert not any(lines[::9]), "a line has a filter"
    return [pixel for line in range(8) for pixel in lines[9 * line + 1 : 9 * line + 9]]


def listing(folder: Path) -> str:
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp("data") / "new" / name for name in SAMPLES}
    for name, folder in folders.items():
        SAMPLES[name].write_data(folder)
    return folders


@each_sample
def test_shipped_bytes_are_the_publishers_and_source_md_says_so(sample):
    file, sha256 = SHIPPED[sample.name]
    assert hashlib.sha256((sample.folder / file).read_bytes()).hexdigest() == sha256
    assert sha256 in (sample.folder / "SOURCE.md").read_text(encoding="utf-8")
    assert (sample.folder / "LICENSE").stat().st_size > 1000


def test_penguins_are_344_birds_with_the_gaps_that_the_manifest_names(written):
    assert [path.name for path in written["penguins"].iterdir()] == ["penguins.csv"]
    data = (written["penguins"] / "penguins.csv").read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHIPPED["penguins"][1]
    birds = list(csv.DictReader(data.decode().splitlines()))
    assert len(birds) == 344
    assert Counter(bird["species"] for bird in birds) == {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}
    assert [line for line, bird in enumerate(birds, start=2) if bird["body_mass_g"] == "NA"] == [5, 273]
    assert sum(bird["sex"] == "NA" for bird in birds) == 11
    islands = {
        species: {bird["island"] for bird in birds if bird["species"] == species}
        for species in ("Gentoo", "Chinstrap", "Adelie")
    }
    assert islands["Gentoo"] == {"Biscoe"}
    assert islands["Chinstrap"] == {"Dream"}
    assert islands["Adelie"] == {"Biscoe", "Dream", "Torgersen"}


def test_digits_hold_every_scan_without_loss(written):
    with gzip.open(SAMPLES["digits"].folder / "digits.csv.gz", "rt") as lines:
        original = [[int(value) for value in line.split(",")] for line in lines]
    with (written["digits"] / "labels.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    images = sorted(path.name for path in (written["digits"] / "images").iterdir())
    assert images == [f"{number:04}.png" for number in range(1797)]
    assert [row["file"] for row in labels] == [f"images/{name}" for name in images]
    for (*values, digit), row in zip(original, labels, strict=True):
        pixels = decode_png((written["digits"] / row["file"]).read_bytes())
        assert [(pixel + 1) // 16 for pixel in pixels] == values
        assert int(row["label"]) == digit
    counts = Counter(int(row["label"]) for row in labels)
    assert [counts[digit] for digit in range(10)] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_images_open_in_pillow(written):
    pil = importlib.import_module("PIL.Image")
    path = written["digits"] / "images" / "0000.png"
    with pil.open(path) as image:
        assert (image.mode, image.size) == ("L", (8, 8))
        assert list(image.tobytes()) == decode_png(path.read_bytes())


def test_written_digits_are_the_same_bytes_everywhere_and_every_time(written, tmp_path):
    SAMPLES["digits"].write_data(tmp_path)
    SAMPLES["digits"].write_data(tmp_path)
    assert listing(tmp_path) == listing(written["digits"])
    assert listing(tmp_path) == DIGITS_LISTING


@each_sample
def test_manifest_is_strictly_valid_and_leaves_owner_and_reference_to_others(sample):
    manifest = Manifest.read(sample.manifest.read_text(encoding="utf-8"), what=str(sample.manifest))
    manifest.check_strict(what=str(sample.manifest))
    given = manifest.to_dict()
    assert given["name"] == sample.name
    assert given["source"]["kind"] == "public"
    assert {"purpose", "annotation", "privacy", "license", "access", "caveats"} <= given.keys()
    assert not {"owner", "reference"} & {field for field, value in given.items() if value}


def test_penguins_columns_are_those_of_the_file(written):
    manifest = Manifest.read(SAMPLES["penguins"].manifest.read_bytes(), what="manifest.yaml")
    pyarrow_csv = importlib.import_module("pyarrow.csv")
    schema = pyarrow_csv.read_csv(written["penguins"] / "penguins.csv").schema
    assert [(column.name, column.type) for column in manifest.columns] == [
        (field.name, str(field.type)) for field in schema
    ]


@each_sample
def test_reference_is_complete_and_locked_to_public_urls(sample, tmp_path):
    sample.write_reference(tmp_path / "reference")
    assert {path.name for path in (tmp_path / "reference").iterdir()} == {
        "pyproject.toml",
        "uv.lock",
        "train.py",
    }
    text = (tmp_path / "reference" / "uv.lock").read_text(encoding="utf-8")
    assert set(re.findall(r"\w+://[^/\"]+", text)) == {"https://pypi.org", "https://files.pythonhosted.org"}
    packages = tomllib.loads(text)["package"]
    assert all(
        wheel["hash"].startswith("sha256:") for package in packages for wheel in package.get("wheels", ())
    )
    project = tomllib.loads((tmp_path / "reference" / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["uv"]["package"] is False


@pytest.mark.parametrize(
    ("name", "rows", "needs"),
    [
        ("penguins", {"train_rows": 239, "test_rows": 103, "rows_without_measurements": 2}, ["sklearn"]),
        ("digits", {"train_images": 1257, "test_images": 540}, ["sklearn", "PIL"]),
    ],
)
def test_reference_trainings_give_the_same_bytes_twice(name, rows, needs, written, tmp_path):
    for module in needs:
        importlib.import_module(module)
    results = []
    for run in ("one", "two"):
        subprocess.run(
            [
                sys.executable,
                SAMPLES[name].folder / "reference" / "train.py",
                "--data",
                written[name],
                "--out",
                tmp_path / run,
            ],
            check=True,
            cwd=tmp_path,
            env={"PYTHONHASHSEED": str(len(results))},
        )
        results.append({path.name: path.read_bytes() for path in (tmp_path / run).iterdir()})
    assert results[0] == results[1]
    assert results[0].keys() == {"metrics.json", "model.joblib"}
    metrics = json.loads(results[0]["metrics.json"])
    assert metrics.items() >= rows.items()
    assert metrics.keys() - rows.keys() == {"accuracy", "macro_f1"}
    assert 0.95 < metrics["macro_f1"] < 1


def test_import_needs_only_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); import datakeep.samples; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(new - set(sys.stdlib_module_names)))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.split() == ["datakeep"]
