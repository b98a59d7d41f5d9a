"""The first version of a dataset: data and facts are there, and become a repository, a tag and an entry.

Of a query's data this is loaded while its first rows are waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.workflows import facts
from datakeep.workflows.asked_splits import settle_splits
from datakeep.workflows.given_facts import attach_asked, complete, suggestions
from datakeep.workflows.known_bytes import copy_notes, query_notes
from datakeep.workflows.left_by import left_notes
from datakeep.workflows.new_data import described, profiled, refuse_git_control, state_of
from datakeep.workflows.prepare import Draft
from datakeep.workflows.publish import Publisher
from datakeep.workflows.register import Registered

if TYPE_CHECKING:
    from datetime import datetime

    from datakeep.repository.identity import Identity
    from datakeep.store.scan import Scan
    from datakeep.workflows.extraction import Extracted
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.register import Request


def made(
    keep: Keep,
    request: Request,
    found: Scan,
    document: dict[str, Any],
    files: dict[str, bytes],
    *,
    who: Identity,
    now: datetime,
    done: Extracted | None = None,
) -> Registered:
    """Version 1, of the files that were found and the facts that are stated or asked for now."""
    seen = described(document, found, keep, made_here=done is not None)
    if done is not None:
        done.describe(document)
    refuse_git_control(document, found)
    likely = settle_splits(request, document, found.files.paths)
    document, manifest = complete(keep, request, document, suggestions(found.files, who))
    files |= attach_asked(document, files)
    counted, notes = profiled(request, found.files, seen, document, files, keep, done=done)
    publisher = Publisher(keep, who, now, without=request.without_stores)
    draft = Draft(
        request.name, "v1", document, "registered", files={**files, **counted}, source=found.files,
        state=state_of(keep, request.sources), deep=True,
    )  # fmt: skip
    published = publisher.first(draft)
    # What datakeep itself wrote down is not doubted: a database's clock may be ahead of ours by a moment.
    said = (*done.notes, *done.personal_note(document)) if done else facts.doubts(manifest, now)
    left = (*left_notes(keep, published.entry), *query_notes(keep, published.entry))
    left += copy_notes(keep, published.entry, published.inventory)
    told = (*found.warnings, *seen.notes, *said, *notes, *likely, *left)
    return Registered(published.entry, published.is_new, notes=told)
