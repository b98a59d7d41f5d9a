"""Every file that datakeep writes, as one pydantic model each: read, write, upgrade.

``yaml`` reads and writes text safely, ``base`` says what all models share, ``schema`` hands out the JSON
Schemas of all kinds. ``manifest`` (dataset.yaml), ``keep`` (keep.yaml), ``person``, ``version`` (register
entries), ``model`` (model records), ``proof`` (predicates) and ``inventory`` (Parquet) are the formats.
"""
