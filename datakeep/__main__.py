"""``python -m datakeep`` is ``datakeep``."""

from datakeep.cli import process

process()
