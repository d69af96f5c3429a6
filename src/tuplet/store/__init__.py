"""Embeddings on disk, and search over them from any modalities to any others."""

from tuplet.store.tables import Stored, open_store, read, write

__all__ = ["Stored", "open_store", "read", "write"]
