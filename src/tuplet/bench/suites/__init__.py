"""Suites, one per file; each offers a function that returns a `tuplet.bench.Suite`."""

SUITES = {
    "quickstart": "tuplet.bench.suites.quickstart:quickstart",
    "missing": "tuplet.bench.suites.missing:missing",
    "own": "tuplet.cli.own:own",
    "ova-ib": "tuplet.bench.suites.ova_ib:ova_ib",
    "ova-ib-sim": "tuplet.bench.suites.ova_ib:ova_ib_sim",
    "uni-oma": "tuplet.bench.suites.uni_oma:uni_oma",
    "uni-oma-sim": "tuplet.bench.suites.uni_oma:uni_oma_sim",
}
"""Short name -> ``module:function``."""
