"""Packages, source state and machine, as every record and report names them."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


def environment() -> dict[str, str]:
    """Describe packages, source state and machine."""
    return dict(_environment())


@cache
def _environment() -> tuple[tuple[str, str], ...]:
    commit = _git("rev-parse", "--short=12", "HEAD")
    return (
        *((name, version(name)) for name in ("tuplet", "torch", "numpy", "scikit-learn")),
        ("python", platform.python_version()),
        ("git", (commit + ("+changes" if _git("status", "--porcelain", "--", ".") else "")) or "not a checkout"),
        ("machine", f"{platform.system()} {platform.machine()}"),
        ("cores", str(os.cpu_count())),
    )


def _git(*args: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *args]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
