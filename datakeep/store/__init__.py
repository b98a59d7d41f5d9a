"""Bytes: where they lie, how they get in and out, and whether they are whole.

``scan`` names the files of a source, ``ingest`` takes them into stores with one read each, ``fetch`` gets
them out verified, ``rehash`` holds a folder against its inventory. ``interface`` is what a store is,
``folder`` the one kind of store so far, ``opening`` finds the kind by URL. ``dvc_format`` writes and reads
DVC 3's files, so that plain ``dvc`` can use all of it. ``hashing``, ``pool`` and ``faults`` serve these.

Import the modules by name (``from datakeep.store.scan import scan``): a command pays only for what it uses.
"""

__all__ = ["dvc_format", "fetch", "folder", "hashing", "ingest", "interface", "opening", "rehash", "scan"]
