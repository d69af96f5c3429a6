"""Every pair of views of the packaged digits, and the two sensors of the watch, are sources of their own."""

from itertools import combinations

import pytest

from tests.fixtures import wearable as fixture
from tuplet import AlignmentModel
from tuplet.datasets import digits, wearable


@pytest.fixture(scope="module")
def source():
    return digits.load()


@pytest.mark.parametrize("pair", list(combinations(sorted(digits.VIEWS), 2)), ids="-".join)
def test_every_pair_of_views_is_a_source(source, pair):
    two = source.select(pair)
    assert tuple(two.modalities) == pair
    assert two.split == source.split
    assert two.fingerprint != source.fingerprint
    batch = two.train[:5]
    assert tuple(batch.inputs) == pair
    assert (batch.target["label"] == source.train[:5].target["label"]).all()
    emb = AlignmentModel.for_source(two)(batch)
    assert emb.z[pair[0]].shape == emb.z[pair[1]].shape


def test_the_pairs_are_fifteen_and_differ(source):
    assert len({source.select(p).fingerprint for p in combinations(digits.VIEWS, 2)}) == 15


def test_the_two_sensors_of_the_watch_are_a_pair(tmp_path):
    fixture.write(tmp_path)
    two = wearable.load(tmp_path, window=50, stride=25).select(["gyroscope", "accelerometer"])
    emb = AlignmentModel.for_source(two)(two.train[:4])
    assert sorted(emb.z) == ["accelerometer", "gyroscope"]
