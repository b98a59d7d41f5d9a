"""The answer as one HTML page that needs nothing else: no script, no font, no request.

Its own style is the only one that the page's policy lets in. Every name and text in it comes from a keep that others
can write to, and is escaped by :mod:`datakeep.exchange.markup`.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import operator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted
from datakeep.core.unstated import grouped
from datakeep.exchange.drawing import graph
from datakeep.exchange.markup import Markup, element, together
from datakeep.formats.model_words import TRACKERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datakeep.exchange.answer import Answer, Dataset, Edge, Fact, Model

#: By this a page of ours is known again, so that a newer one may take its place.
GENERATOR = "datakeep"
_DOCTYPE = Markup("<!DOCTYPE html>\n")
#: What a model's section shows as a table of its own, not among the facts.
_AS_A_TABLE = ("read undeclared", "not registered")
_OF_A_FILE = ("named", "withheld", "unreadable", "gone", "moved", "changed", "digest", "guess")
_HOW = {
    "read": "read by the training",
    "base": "base model",
    "left": "a file that its training left was read",
    "derived": "made from it",
    "same": "the same bytes",
}


def page(answer: Answer) -> str:
    """The whole page."""
    anchors = {node.key: f"n{number}" for number, node in enumerate(answer.nodes)}
    label = answer.subject.partition(":")[2]
    title = _title(answer, label)
    body = element(
        "body",
        _doubts(answer),
        _head(answer, title),
        _picture(answer, anchors),
        _unknown(answer),
        _overview(answer, anchors),
        *(_model(model, anchors) for model in answer.models),
        *(_dataset(dataset, anchors) for dataset in answer.datasets),
        _foot(answer),
    )
    return together(_DOCTYPE, element("html", _meta(answer, title), body, lang="en"), "\n")


@cache
def _style() -> str:
    return files("datakeep.exchange").joinpath("page.css").read_text("utf-8")


def _meta(answer: Answer, title: str) -> Markup:
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"{GENERATOR} {answer.program}"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(style)),
    )


def _doubts(answer: Answer) -> Markup | None:
    """Before all else, since what follows may not be true."""
    if not answer.doubts:
        return None
    count = counted(len(answer.doubts), "thing")
    head = f"Do not trust this answer: {count} behind it {'is' if len(answer.doubts) == 1 else 'are'} not as recorded"
    items = (
        element("li", one.what, element("ul", *(element("li", line) for line in one.evidence)))
        if one.evidence
        else element("li", one.what)
        for one in answer.doubts
    )
    return element("section", element("strong", head, class_="bad"), element("ul", *items), class_="unknown")


def _title(answer: Answer, label: str) -> str:
    if answer.question == "made of":
        return f"What {label} was made of"
    return f"What {answer.file} of {label} went into" if answer.file else f"What {label} went into"


def _head(answer: Answer, title: str) -> Markup:
    unknown = answer.not_known()
    lacking = f"{counted(len(unknown), 'thing')} not known" if unknown else "nothing is said to be unknown"
    counts = f"{counted(len(answer.datasets), 'dataset version')}, {counted(len(answer.models), 'model')}; {lacking}."
    commit = answer.keep_commit or "no commit"
    asked = element("p", "Asked: ", element("code", answer.asked), class_="when")
    at = answer.at.isoformat(timespec="seconds")
    when = element(
        "p", f"Answered {at} by the keep {answer.keep} at commit ", element("code", commit), class_="when"
    )
    digest = element("p", "sha256 of the file: ", element("code", answer.sha256), class_="when")
    same = element("p", f"The same file is also recorded as {', '.join(answer.same_file)}.")
    return element(
        "header",
        element("h1", title),
        element("p", counts),
        asked,
        digest if answer.sha256 else None,
        when,
        same if answer.same_file else None,
    )


def _picture(answer: Answer, anchors: Mapping[str, str]) -> Markup:
    drawn = graph(answer, anchors)
    if drawn is None:
        drawn = element(
            "p", f"{len(answer.nodes):,} nodes are too many for a picture; the tables have them all."
        )
    legend = element(
        "p",
        "Boxes with round ends are models. A dashed line is data derived from other data; a dashed box has no record "
        "in this keep. What is wider than the page can be moved sideways.",
        class_="faint",
    )
    return element(
        "section", element("h2", "What went into what"), element("div", drawn, class_="picture"), legend
    )


def _unknown(answer: Answer) -> Markup:
    lines = [
        (what, line)
        for what, several in itertools.groupby(answer.not_known(), key=operator.itemgetter(0))
        for line in grouped([line for _, line in several])
    ]
    shown: Markup = element("p", "No record says that something is unknown.")
    if lines:
        items = (element("li", element("strong", what), ": ", line) for what, line in lines)
        shown = element("div", element("ul", *items), class_="unknown")
    return element("section", element("h2", "Not known"), shown)


# ---- the tables over all


def _overview(answer: Answer, anchors: Mapping[str, str]) -> Markup:
    edges = [_edge_row(edge, anchors) for edge in answer.edges]
    owners = [_owner_row(dataset, anchors) for dataset in answer.datasets]
    none = element("p", "The keep records nothing of it.")
    return element(
        "section",
        element("h2", "Inputs"),
        _table(("Input", "Went into", "How", "What is known of it"), edges) if edges else none,
        element("h2", "Owners and rules") if owners else None,
        _table(("Dataset", "Owner", "Licence", "Personal data", "Proofs", "Newest"), owners)
        if owners
        else None,
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    top = element("thead", element("tr", *(element("th", cell, scope="col") for cell in head)))
    body = element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows))
    return element("div", element("table", top, body), class_="scroll")


def _link(key: str, anchors: Mapping[str, str]) -> Markup:
    kind, _, label = key.partition(":")
    return together(f"{kind} ", element("a", label, href=f"#{anchors[key]}"))


def _edge_row(edge: Edge, anchors: Mapping[str, str]) -> Sequence[object]:
    how = "given to the training, which read nothing of it" if edge.is_unread else _HOW[edge.how]
    how = f"{how}, {edge.given.how}" if edge.given else how
    return _link(edge.source, anchors), _link(edge.target, anchors), how, edge.note


def _owner_row(dataset: Dataset, anchors: Mapping[str, str]) -> Sequence[object]:
    manifest = dataset.manifest
    privacy = manifest.privacy.personal if manifest and manifest.privacy else None
    return (
        _link(dataset.key, anchors),
        _stated(str(manifest.owner) if manifest and manifest.owner else None),
        _stated(manifest.license if manifest else None),
        _stated(privacy),
        _stated(dataset.proof_state),
        dataset.newer or ("this one" if dataset.entry else _stated(None)),
    )


def _stated(value: str | None) -> object:
    return value or element("span", "not stated", class_="unstated")


# ---- one section for each node


def _facts(facts: Iterable[Fact]) -> Markup | None:
    rows = [
        element("tr", element("th", fact.label, scope="row"), element("td", *_values(fact))) for fact in facts
    ]
    return element("table", element("tbody", *rows), class_="facts") if rows else None


def _values(fact: Fact) -> Iterable[Markup]:
    for value in fact.values:
        failed = fact.label == "status" and value.startswith("FAILED")
        yield element("div", value, class_="bad" if failed else None if fact.is_known else "unstated")


def _lacking(unknown: Sequence[str]) -> Markup | None:
    if not unknown:
        return None
    items = (element("li", line) for line in grouped(unknown))
    return element("div", element("strong", "Not known"), element("ul", *items), class_="unknown")


def _model(model: Model, anchors: Mapping[str, str]) -> Markup:
    undeclared = model.record.undeclared if model.record else []
    facts = [fact for fact in model.facts if fact.label not in _AS_A_TABLE]
    told = model.record is not None and model.record.origin in TRACKERS
    head = "Named, and not in the register" if told else "Read, and of no dataset that it was given"
    return element(
        "section",
        element("h2", f"Model {model.label}"),
        _facts(facts),
        element("h3", f"{head} ({len(undeclared):,})") if undeclared else None,
        _table(("Path", "Bytes", "sha256", "What else is known"), map(_undeclared_row, undeclared))
        if undeclared
        else None,
        _lacking(model.unknown),
        id=anchors[model.key],
    )


def _undeclared_row(entry: dict[str, Any]) -> Sequence[object]:
    told = [f"{key}: {entry[key]}" for key in _OF_A_FILE if key in entry]
    of = f"a checkout of {entry['of']}, not declared" if "of" in entry else ""
    size = entry.get("size_bytes")
    return (
        str(entry.get("path", "unknown")),
        f"{size:,}" if isinstance(size, int) else "unknown",
        element("code", str(entry.get("sha256", "unknown"))),
        "; ".join([*told, *([of] if of else [])]),
    )


def _dataset(dataset: Dataset, anchors: Mapping[str, str]) -> Markup:
    identity = [
        element("tr", element("th", label, scope="row"), element("td", element("code", value)))
        for label, value in (("commit", dataset.commit), ("content id", dataset.content))
        if value
    ]
    proofs = (element("li", line) for line in dataset.proofs)
    texts = (together(element("h3", text.title), element("pre", text.body)) for text in dataset.texts)
    return element(
        "section",
        element("h2", f"Dataset {dataset.label}"),
        element("table", element("tbody", *identity), class_="facts") if identity else None,
        _facts(dataset.facts),
        *texts,
        element("h3", f"Proofs: {dataset.proof_state}") if dataset.proof_state else None,
        element("ul", *proofs) if dataset.proofs else None,
        _lacking(dataset.unknown),
        id=anchors[dataset.key],
    )


def _foot(answer: Answer) -> Markup:
    return element(
        "footer",
        element("hr"),
        element(
            "p",
            f"Made by datakeep {answer.program} from the records of the keep {answer.keep}. The page is a copy: what "
            "counts is the keep at the commit above, and `datakeep audit` asks it again.",
            class_="faint",
        ),
    )
