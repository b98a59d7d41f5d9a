"""An audit's answer for other programs and for people without datakeep: standard formats, and a page.

Every function here takes an :class:`~datakeep.exchange.answer.Answer` and returns text; nothing is read or written.
"""

from datakeep.exchange.answer import Answer, Dataset, Edge, Fact, Model, Text

__all__ = ["Answer", "Dataset", "Edge", "Fact", "Model", "Text"]
