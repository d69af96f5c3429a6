"""Comparisons: the suites of objectives in `SUITES`, three studies of their own (sweep, strategic, scaling), and helpers."""

SUITES = {
    "quickstart": "tuplet.suites.quickstart:quickstart",
    "missing": "tuplet.suites.missing:missing",
    "ova-ib": "tuplet.suites.ova_ib:ova_ib",
    "ova-ib-sim": "tuplet.suites.ova_ib:ova_ib_sim",
    "uni-align": "tuplet.suites.captioned:uni_align",
    "uni-align-sim": "tuplet.suites.uni_align:uni_align_sim",
    "uni-oma": "tuplet.suites.uni_oma:uni_oma",
    "uni-oma-sim": "tuplet.suites.uni_oma:uni_oma_sim",
}
"""Short name -> ``module:function``."""
