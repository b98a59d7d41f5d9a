"""CycloneDX 1.6: the bill of materials of a model (ML-BOM).

The model is the root component; base models, datasets and undeclared files are components; ``dependencies`` says what
went into what, and ``compositions`` how complete that is. What is not known is a property of the thing that it is
unknown of, named ``datakeep:not-known``.
"""

from __future__ import annotations

import shlex
import uuid
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import Unsupported
from datakeep.exchange.answer import Model
from datakeep.exchange.json_text import json_text, without_empty
from datakeep.exchange.places import uri

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from datakeep.exchange.answer import Answer, Dataset
    from datakeep.formats.manifest import Manifest
    from datakeep.formats.model import ModelRecord

_NAMESPACE = uuid.UUID("6a4c8c22-8d2e-5b7e-9a55-6f8a0a4f3d10")
#: Licences of data that SPDX has an identifier for; any other is a name.
_SPDX = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-ND-4.0"}
    | {"CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-1.0"}
    | {"CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "MIT", "ODbL-1.0", "ODC-By-1.0", "PDDL-1.0", "Unlicense"}
)


def cyclonedx(answer: Answer) -> str:
    """The answer as a CycloneDX BOM in JSON.

    Raises:
        Unsupported: The question was not what a model was made of.
    """
    return json_text(bom(answer)) + "\n"


def bom(answer: Answer) -> dict[str, Any]:
    """The same BOM as data; raises as :func:`cyclonedx`."""
    answer.require_whole("cyclonedx")
    root = next((model for model in answer.models if model.key == answer.subject), None)
    if answer.question != "made of" or root is None:
        raise Unsupported(
            f"a CycloneDX bill of materials tells what one model was made of, and {answer.asked} is not a model",
            next_step="ask of a model: datakeep audit model:NAME --format cyclonedx; or take --format openlineage, "
            "--format prov or --html FILE",
        )
    unread = {model.key: answer.unread(model.key) for model in answer.models}
    copied = {model.key: answer.copied(model.key) for model in answer.models}
    went_in = _went_in(answer)
    datasets = [one for one in answer.datasets if one.key in went_in]
    others = [
        _model(model, unread[model.key], copied[model.key], went_in)
        for model in answer.models
        if model is not root
    ]
    files = [file for model in answer.models if model.record for file in _undeclared(model, model.record)]
    serial = uuid.uuid5(_NAMESPACE, f"{answer.keep} {answer.keep_commit} {answer.subject}")
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": answer.at.isoformat(timespec="seconds"),
            "tools": {
                "components": [{"type": "application", "name": "datakeep", "version": answer.program}]
            },
            "component": _model(root, unread[root.key], copied[root.key], went_in),
            "properties": _properties(
                {
                    "asked": answer.asked,
                    "sha256-asked": answer.sha256,
                    "keep": answer.keep,
                    "keep-commit": answer.keep_commit,
                    "same-file": answer.same_file,
                    "not-known": answer.unknown,
                }
            ),
        },
        "components": [*others, *map(_dataset, datasets), *files],
        "dependencies": list(_dependencies(answer)),
        "compositions": _compositions(answer),
    }  # fmt: skip


def _properties(values: dict[str, Any]) -> list[dict[str, str]]:
    """Name and value pairs; a list is one pair for each of its values."""
    return [
        {"name": f"datakeep:{name}", "value": str(one)}
        for name, value in values.items()
        for one in (value if isinstance(value, list | tuple) else [value])
        if one not in (None, "")
    ]


def _hash(sha256: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": sha256.removeprefix("sha256:")}


# ---- models


def _model(
    model: Model, unread: Sequence[str], copied: Sequence[str], went_in: Collection[str]
) -> dict[str, Any]:
    record = model.record
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": model.key,
        "name": model.name,
        "version": model.version or "",
    }
    if record is None:
        return {**without_empty(component), "properties": _properties({"not-known": model.unknown})}
    hashes = [_hash(record.artifacts[0].sha256)] if len(record.artifacts) == 1 else []
    return without_empty(
        {
            **component,
            "hashes": hashes,
            "externalReferences": _code(record),
            "components": [_file(model, artifact.path, artifact.sha256) for artifact in record.artifacts],
            "modelCard": _card(model, record, unread, copied, went_in),
            "properties": _properties({**_told(model, record), "given-unread": unread}),
        }
    )


def _file(model: Model, path: str, sha256: str) -> dict[str, Any]:
    return {"type": "file", "bom-ref": f"file:{model.label}:{path}", "name": path, "hashes": [_hash(sha256)]}


def _code(record: ModelRecord) -> list[dict[str, Any]]:
    place = uri(record.code.url)
    if place is None:
        return []
    comment = " ".join(part for part in (record.code.commit, record.code.path) if part)
    return [without_empty({"type": "vcs", "url": place, "comment": comment})]


def _card(
    model: Model,
    record: ModelRecord,
    unread: Sequence[str],
    copied: Sequence[str],
    went_in: Collection[str],
) -> dict[str, Any]:
    names = list(dict.fromkeys([*(f"{given.dataset}@{given.version}" for given in record.inputs), *copied]))
    used = [name for name in names if name not in unread or name in copied]
    # What is too far away to be told has no component that could be referred to.
    datasets = [
        {"ref": key} if (key := f"dataset:{name}") in went_in else {"type": "dataset", "name": name}
        for name in used
    ]
    metrics = [{"type": str(name), "value": str(value)} for name, value in record.metrics.items()]
    limits = [f"not known: {line}" for line in model.unknown]
    return without_empty(
        {
            "modelParameters": without_empty({"datasets": datasets}),
            "quantitativeAnalysis": without_empty({"performanceMetrics": metrics}),
            "considerations": without_empty({"technicalLimitations": limits}),
        }
    )


def _told(model: Model, record: ModelRecord) -> dict[str, Any]:
    environment = record.environment
    return {
        "origin": record.origin,
        "status": record.status,
        "observed-by": record.observed.by if record.observed else None,
        "command": shlex.join(record.command),
        "parameter": [f"{name}={value}" for name, value in record.parameters.items()],
        "seed": [f"{name}={value}" for name, value in record.seeds.items()],
        "code-commit": record.code.commit,
        "code-uncommitted": record.code.dirty,
        "environment-lock": environment.lock,
        "python": environment.python,
        "platform": environment.platform,
        "gpu": environment.gpu,
        "recorded-at": record.recorded_at,
        "recorded-by": record.recorded_by,
        "proof": record.proof,
        "undeclared-count": record.undeclared_count,
        "not-known": model.unknown,
    }


def _undeclared(model: Model, record: ModelRecord) -> Iterable[dict[str, Any]]:
    """Files that were read and belong to no dataset that was given."""
    for place, entry in enumerate(record.undeclared):
        sha256 = entry.get("sha256")
        said = {
            "undeclared-input-of": model.label,
            "checkout-of": entry.get("of"),
            "same-bytes-as": model.same.get(str(entry.get("path"))),
        }
        yield without_empty(
            {
                "type": "file",
                "bom-ref": f"undeclared:{model.label}:{place}",
                "name": str(entry.get("path", "unknown")),
                "hashes": [_hash(str(sha256))] if sha256 else [],
                "properties": _properties(said),
            }
        )


# ---- datasets


def _dataset(dataset: Dataset) -> dict[str, Any]:
    manifest, entry = dataset.manifest, dataset.entry
    place = uri(entry.repository) if entry else None
    facts = [f"{fact.label}: {'; '.join(fact.values)}" for fact in dataset.facts]
    return without_empty(
        {
            "type": "data",
            "bom-ref": dataset.key,
            "name": dataset.name,
            "version": dataset.version,
            "description": manifest.purpose if manifest else None,
            "hashes": [_hash(dataset.content)] if dataset.content else [],
            "licenses": _licences(manifest),
            "externalReferences": [{"type": "vcs", "url": place, "comment": dataset.commit or ""}]
            if place
            else [],
            "data": [_data(dataset, manifest)],
            "properties": _properties(
                {
                    "content-id": dataset.content,
                    "content-id-is": "the sha256 of the sha256sum listing of all files below data/, sorted"
                    if dataset.content
                    else None,
                    "commit": dataset.commit,
                    "inventory": entry.inventory if entry else None,
                    "files": entry.files if entry else None,
                    "size-bytes": entry.size_bytes if entry else None,
                    "proof": dataset.proof_state,
                    "newest": dataset.newer,
                    "stated": facts,
                    "query": [text.body for text in dataset.texts if text.title == "SQL"],
                    "not-known": dataset.unknown,
                }
            ),
        }
    )


def _licences(manifest: Manifest | None) -> list[dict[str, Any]]:
    licence = manifest.license if manifest else None
    if not licence or licence == "unknown":
        return []
    return [{"license": {"id" if licence in _SPDX else "name": licence}}]


def _data(dataset: Dataset, manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        return {"type": "dataset", "name": dataset.label}
    owner, privacy = manifest.owner, manifest.privacy
    personal = privacy.personal if privacy else None
    sensitive = (
        [] if personal == "no" else [f"personal data: {personal or 'unknown, since nobody stated it'}"]
    )
    owners = [{"contact": {"name": owner.name, "email": owner.email}}] if owner else []
    stewards = [{"contact": {"name": one.name, "email": one.email}} for one in manifest.stewards]
    return without_empty(
        {
            "type": "dataset",
            "name": dataset.label,
            "sensitiveData": sensitive,
            "description": manifest.title,
            "governance": without_empty({"owners": owners, "stewards": stewards}),
        }
    )


# ---- what went into what, and how completely that is known


def _dependencies(answer: Answer) -> Iterable[dict[str, Any]]:
    went_in = _went_in(answer)
    for node in answer.nodes:
        if node.key not in went_in:
            continue
        record = node.record if isinstance(node, Model) else None
        files = (
            [f"undeclared:{node.label}:{place}" for place in range(len(record.undeclared))] if record else []
        )
        given = [edge.source for edge in answer.into(node.key) if not edge.is_unread]
        yield {"ref": node.key, "dependsOn": list(dict.fromkeys([*given, *files]))}


def _went_in(answer: Answer) -> set[str]:
    """The keys of all that went into the asked model; what it was only given is not in the bill."""
    found = {answer.subject}
    waiting = list(found)
    while waiting:
        for edge in answer.into(waiting.pop()):
            if not edge.is_unread and edge.source not in found:
                found.add(edge.source)
                waiting.append(edge.source)
    return found


def _compositions(answer: Answer) -> list[dict[str, Any]]:
    """The inputs of a model are called complete only where nothing at all is not known of it."""
    aggregates: dict[str, list[str]] = {}
    for model in answer.models:
        record = model.record
        by = record.observed.by if record and record.observed else record.origin if record else ""
        shipped = record.environment.data_read_count if record else None
        known = by in ("strace", "verification") and not model.unknown and not shipped
        aggregates.setdefault("complete" if known else "unknown", []).append(model.key)
    return [{"aggregate": aggregate, "dependencies": refs} for aggregate, refs in aggregates.items()]
