"""The README's commands, word for word, as the people to whom it speaks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Person

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"<!-- run: (\w+) -->\n```sh\n(.*?)```\n", README, re.DOTALL))


def test_the_readme_can_be_typed(aiko: Person, ken: Person, tmp_path: Path) -> None:
    assert list(BLOCKS) == ["aiko", "ken", "anyone"]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    aiko.extra["TMPDIR"] = str(temporary)
    walked = aiko.run("bash", "-euo", "pipefail", "-c", BLOCKS["aiko"], cwd=ROOT)
    assert "PASSED penguins@v2 (a self-check" in walked.out
    assert "dataset penguins@v2 (observed)" in walked.out
    (vault,) = temporary.glob("*/my-keep.vault")

    ken.extra["VAULT"] = str(vault)
    received = ken.run("bash", "-euo", "pipefail", "-c", BLOCKS["ken"])
    assert "\nPASSED penguins@v2\n" in received.out
    clone = ken.cwd / "my-keep"
    assert "1 person other than the owner: ken" in ken.datakeep("show", "penguins", cwd=clone).out

    outsider = ken.cwd / "outside"
    outsider.mkdir()
    printed = ken.run("bash", "-euo", "pipefail", "-c", BLOCKS["anyone"], cwd=outsider)
    content = printed.out.split()[0]
    assert f"must print `{content}`" in (outsider / "penguins/README.md").read_text("utf-8")


def test_what_the_readme_shows_on_disk_is_what_the_walk_makes(keep: Path, vault: Path) -> None:
    tree = next(block for block in re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    shown = re.findall(r"^[├└]── ([\w.]+)", tree, re.MULTILINE)
    made = {path.name for folder in (keep, vault) for path in folder.iterdir()}
    later = {"register", "datasets", "proofs", "models"}
    assert set(shown) - made == later, "folders that come with the first dataset, and nothing else"
