"""Every source of the catalog can be trained without a word about its modalities."""

from tuplet import AlignmentModel
from tuplet.catalog import SOURCES

QUICK = {
    "tap": {"episodes": 60, "instances": 1, "size": 8},
    "push": {"episodes": 6},
    "arm": {"episodes": 4, "size": 8},
    "peg": {"episodes": 4, "size": 8},
    "touch": {"contacts": 96, "size": 16, "calibration": "approximate"},
}


def test_a_model_is_made_for_every_source():
    for name, load in SOURCES.items():
        source = load(**QUICK.get(name, {}))
        h = AlignmentModel.for_source(source, dim=4, start="random")(source.train[:4]).z
        assert {k: v.shape[1] for k, v in h.items()} == dict.fromkeys(source.modalities, 4), name
