"""The README's commands, word for word, as the people to whom it speaks."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from world import Person

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
INDEX = (ROOT / "docs/index.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"<!-- run: (\w+) -->\n```sh\n(.*?)```\n", README, re.DOTALL))


def test_the_readme_can_be_typed(aiko: Person, ken: Person, tmp_path: Path) -> None:
    assert list(BLOCKS) == ["aiko", "ken", "anyone"]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    aiko.extra["TMPDIR"] = str(temporary)
    walked = aiko.run("bash", "-euo", "pipefail", "-c", BLOCKS["aiko"], cwd=ROOT)
    assert "PASSED penguins@v2 (a self-check" in walked.out
    assert "dataset penguins@v2 (observed)" in walked.out
    assert "same content: penguins-late@v1 and run now have the same 120 rows" in walked.out
    (vault,) = temporary.glob("*/my-keep.vault")
    assert not [path for path in shown_on_disk() if not (vault.parent / path).exists()]

    ken.extra["VAULT"] = str(vault)
    received = ken.run("bash", "-euo", "pipefail", "-c", BLOCKS["ken"])
    assert "\nPASSED penguins@v2\n" in received.out
    clone = ken.cwd / "my-keep"
    assert "1 person other than the owner: ken" in ken.datakeep("show", "penguins", cwd=clone).out

    (script,) = re.findall(r"^```python\n(.*?)^```$", INDEX, re.MULTILINE | re.DOTALL)
    assert ken.run(sys.executable, "-c", script).out.startswith("penguins v2 sha256:")

    outsider = ken.cwd / "outside"
    outsider.mkdir()
    printed = ken.run("bash", "-euo", "pipefail", "-c", BLOCKS["anyone"], cwd=outsider)
    content = printed.out.split()[0]
    assert f"must print `{content}`" in (outsider / "penguins/README.md").read_text("utf-8")


def shown_on_disk() -> set[str]:
    """The paths that the README draws, such as ``my-keep/register/penguins/v2.yaml``."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (tree,) = (text for _, text in blocks if "├──" in text)
    root, paths = "", set()
    for line in tree.splitlines():
        if found := re.match(r"([\w.-]+)/", line):
            root = found[1]
        elif found := re.match(r"[├└]── (.+?)(  |$)", line):
            paths |= {f"{root}/{path.strip(' /…')}" for path in found[1].split(",")}
    return paths


def test_the_drawing_of_the_disk_is_read() -> None:
    assert {
        "my-keep/keep.yaml",
        "my-keep/proofs/penguins/v2",
        "my-keep.vault/git/datasets",
    } <= shown_on_disk()
