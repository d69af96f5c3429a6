"""Suites, one per file; each offers a function that returns a `tuplet.bench.Suite`."""

SUITES = {
    "quickstart": "tuplet.bench.suites.quickstart:quickstart",
}
"""Short name -> ``module:function``."""
