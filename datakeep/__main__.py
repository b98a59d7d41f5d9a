"""``python -m datakeep`` is ``datakeep``."""

from datakeep.cli import main

main()
