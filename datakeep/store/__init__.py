"""Bytes: where they lie, how they get in and out, and whether they are whole.

``scan`` names the files of a source, ``ingest`` takes them into stores with one read each, ``fetch`` gets
them out verified, ``rehash`` holds a folder against its inventory. ``interface`` is what a store is,
``folder``, ``object_store`` and ``server_store`` (over a ``file_server``: SSH, WebDAV, or what only DVC knows) are
the kinds of store, ``opening`` finds the kind by URL. ``dvc_format``
writes and reads DVC 3's files, so that plain ``dvc`` can use all of it. ``hashing``, ``pool``, ``present``,
``location``, ``taking`` (the workers' part of ``ingest``) and the ``…_faults`` serve these; ``state`` is the cache of
what was hashed before.

Import the modules by name (``from datakeep.store.scan import scan``): a command pays only for what it uses.
"""

__all__ = [
    "dvc_format",
    "fetch",
    "folder",
    "hashing",
    "ingest",
    "interface",
    "object_store",
    "opening",
    "rehash",
    "scan",
    "server_store",
    "state",
]
