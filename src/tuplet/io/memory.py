"""How much memory is free, and whether something may have it."""

from __future__ import annotations

import os
from pathlib import Path

from tuplet.types import InputError


def free_memory() -> int:
    """Return the free memory of this machine or container in bytes; 8 GB where nothing tells."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        found += [max(int(limit) - used, 0)] if limit.isdigit() else []
    except (OSError, ValueError):
        pass
    if not found and hasattr(os, "sysconf"):
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    return min(found, default=8 * 10**9)


def check_memory(argument: str, size: int, fix: str) -> None:
    """Refuse what would take more than half of the free memory, before any of it is taken."""
    most = free_memory() // 2
    if size > most:
        raise InputError(
            f"{argument} needs {size / 1e9:.1f} GB, more than half of the free memory ({most / 1e9:.1f} GB); {fix}"
        )
