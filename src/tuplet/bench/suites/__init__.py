"""Suites, one per file; each offers a function that returns a `tuplet.bench.Suite`."""

SUITES = {
    "quickstart": "tuplet.bench.suites.quickstart:quickstart",
    "missing": "tuplet.bench.suites.missing:missing",
}
"""Short name -> ``module:function``."""
