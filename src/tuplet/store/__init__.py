"""Embeddings on disk, and search over them from any modalities to any others."""

from tuplet.store.search import Found, Index, index
from tuplet.store.tables import Stored, open_store, read, write

__all__ = ["Found", "Index", "Stored", "index", "open_store", "read", "write"]
