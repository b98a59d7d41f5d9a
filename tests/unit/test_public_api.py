"""The public Python API is small, documented, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import datakeep

HEAVY = ("click", "rich", "git", "pydantic", "pyarrow", "ruamel", "boto3", "dvc", "obstore", "cryptography")


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import datakeep; "
        "print(*sorted(name for name in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "datakeep" in loaded
    assert not [name for name in loaded if name.split(".")[0] in HEAVY or name.startswith("datakeep.")]


def test_every_public_name_is_there_and_documented() -> None:
    for name in datakeep.__all__:
        assert name in dir(datakeep)
        assert getattr(datakeep, name) is not None
        assert name == "__version__" or getattr(datakeep, name).__doc__
    assert datakeep.errors.NotAKeep.exit_code == 10
    assert issubclass(datakeep.errors.NotAKeep, datakeep.DatakeepError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_keeps'"):
        _ = datakeep.open_keeps  # type: ignore[attr-defined]


def test_a_folder_without_a_keep_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(datakeep.errors.NotAKeep, match="not in a keep"):
        datakeep.open_keep(tmp_path)


def test_a_keep_is_opened_and_asked(keep: Path) -> None:
    opened = datakeep.open_keep(str(keep))
    assert isinstance(opened, datakeep.Keep)
    assert (opened.name, opened.datasets) == ("keep", [])
    assert [person.email for person in opened.people.values()] == ["aiko@corp.example"]


def test_the_version_is_the_package_s() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert f'\nversion = "{datakeep.__version__}"\n' in text


def test_the_map_names_every_floor_and_room() -> None:
    package = Path(datakeep.__file__).parent
    for path in package.iterdir():
        if (path / "__init__.py").is_file():
            assert f"``{path.name}``" in (datakeep.__doc__ or ""), path.name
