"""The answer of an audit as a graph: what every page and every exchange format is made from.

Versions of datasets and of models are its nodes; an edge says that one went into another. What is not known is a
part of each node and of the answer as a whole, so that no format can leave it out unseen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from datakeep.formats.manifest import Manifest
    from datakeep.formats.model import ModelInput, ModelRecord
    from datakeep.formats.version import VersionEntry

#: How one thing went into another: read by a training, the base of another model, the parent of derived data.
How = Literal["read", "base", "derived"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is stated, with all its values; ``is_known`` is False where the value is that none is."""

    label: str
    values: tuple[str, ...]
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """A text that belongs to a version, such as the SQL that it was extracted with."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the answer is not to be trusted; ``evidence`` says what was changed, by whom and when, a line each."""

    what: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A version of a dataset; without ``version`` it is any of them.

    Attributes:
        name: Of the dataset.
        version: ``v3``.
        commit: Of the version's repository; None if not known.
        content: Its content id; None if not known.
        entry: Its register entry; None if the keep has none that fits.
        manifest: The entry's manifest.
        facts: What the manifest states, gaps included.
        texts: SQL and annotation rules.
        proof_state: The one word for its proofs; None without an entry.
        proofs: The proofs, one line each.
        newer: The newest version, if this is an older one.
        unknown: What is not known of it, one line each.
    """

    name: str
    version: str | None
    commit: str | None = None
    content: str | None = None
    entry: VersionEntry | None = None
    manifest: Manifest | None = None
    facts: tuple[Fact, ...] = ()
    texts: tuple[Text, ...] = ()
    proof_state: str | None = None
    proofs: tuple[str, ...] = ()
    newer: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``orders@v3``."""
        return _label(self.name, self.version)

    @property
    def key(self) -> str:
        """Unique among all nodes."""
        return f"dataset:{self.label}"


def _label(name: str, version: str | None) -> str:
    return f"{name}@{version}" if version else name


@dataclass(frozen=True, slots=True)
class Model:
    """A version of a model; without ``record`` the keep has none that can be read.

    ``same`` has the registered files that have the bytes of undeclared ones, in words, by the place of these.
    """

    name: str
    version: str | None
    record: ModelRecord | None = None
    facts: tuple[Fact, ...] = ()
    unknown: tuple[str, ...] = ()
    same: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """``churn@v7``."""
        return _label(self.name, self.version)

    @property
    def key(self) -> str:
        """Unique among all nodes."""
        return f"model:{self.label}"


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` went into ``target``; both are keys of nodes.

    Attributes:
        source: What was used.
        target: What was made of it.
        how: In which way.
        note: In a few words, how much of it was read.
        given: What the record says of it, where ``how`` is ``read``.
        is_unread: It was given, and is known not to have been read: it did not go in.
    """

    source: str
    target: str
    how: How
    note: str = ""
    given: ModelInput | None = None
    is_unread: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked of a keep, and what it knew.

    Attributes:
        asked: As it was asked: a file or a name.
        question: ``made of`` leads from a model to its data, ``went into`` from data to models.
        subject: The key of the node that was asked about.
        models: All models, the asked one first.
        datasets: All versions of datasets.
        edges: What went into what.
        keep: The keep's name.
        keep_commit: The commit of the keep that answered.
        at: When.
        program: The datakeep version that answered.
        sha256: Of the file that was asked about, if it was one.
        file: The path in the dataset, where one file was asked about.
        same_file: Other records of the same file.
        unknown: What is not known of the whole, one line each.
        doubts: What behind it is not as it was recorded.
    """

    asked: str
    question: Literal["made of", "went into"]
    subject: str
    models: tuple[Model, ...]
    datasets: tuple[Dataset, ...]
    edges: tuple[Edge, ...]
    keep: str
    keep_commit: str | None
    at: datetime
    program: str
    sha256: str | None = None
    file: str | None = None
    same_file: tuple[str, ...] = ()
    unknown: tuple[str, ...] = field(default=())
    doubts: tuple[Doubt, ...] = ()

    @property
    def nodes(self) -> tuple[Model | Dataset, ...]:
        """All of them, models first."""
        return (*self.models, *self.datasets)

    def dataset(self, name: str, version: str | None) -> Dataset | None:
        """The version of a dataset, if it is a node."""
        return next((one for one in self.datasets if (one.name, one.version) == (name, version)), None)

    def into(self, key: str, how: How | None = None) -> Iterator[Edge]:
        """What went into ``key`` directly."""
        return (edge for edge in self.edges if edge.target == key and how in (None, edge.how))

    def unread(self, key: str) -> list[str]:
        """Versions that the model ``key`` was given, and is known not to have read, as ``orders@v3``."""
        return [edge.source.partition(":")[2] for edge in self.into(key) if edge.is_unread]

    def require_whole(self, form: str) -> None:
        """Raises :class:`Unsupported` where one file was asked about: ``form`` has no word for "perhaps read"."""
        if self.file is not None:
            raise Unsupported(
                f"{form} cannot say of one file that a model read it, did not, or that this is not known",
                next_step=f"datakeep audit {self.asked} --html FILE, or --json; or ask of the version: "
                f"datakeep audit {self.subject} --format {form}",
            )

    def not_known(self) -> list[tuple[str, str]]:
        """Everything that is not known: of what (``churn@v7``, ``the answer``), and what."""
        found = [("the answer", line) for line in self.unknown]
        return found + [(node.label, line) for node in self.nodes for line in node.unknown]
