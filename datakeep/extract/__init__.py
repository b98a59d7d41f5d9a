"""Describing what is handed in: formats, columns and their types, rows, encodings, trivial baselines, profiles.

``describe`` says what a set of files holds, ``baseline`` what a model scores on it that has learned nothing,
``profile`` what the values are like, and ``compare`` holds two sets of tables against each other. ``interface`` is
what a tabular format must be able to do; ``csv_file``, ``jsonlines_file`` and ``parquet_file`` do it, and ``tabular``
finds the one for a file without importing the others.
"""
