"""Windows against slices of the recordings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuplet import InputError
from tuplet.data._lazy import window_starts, windowed


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    window=st.integers(1, 6),
    stride=st.integers(1, 5),
    horizon=st.integers(0, 3),
)
def test_windows_are_the_slices_of_each_recording(lengths, window, stride, horizon):
    ids = np.repeat(np.arange(len(lengths))[::-1], lengths)
    wanted = []
    first = 0
    for length in lengths:
        wanted += [first + i for i in range(0, length, stride) if i + window + horizon <= length]
        first += length
    if not wanted:
        with pytest.raises(InputError, match="longest recording"):
            window_starts(ids, window=window, stride=stride, horizon=horizon)
        return
    starts = window_starts(ids, window=window, stride=stride, horizon=horizon)
    assert starts.tolist() == wanted
    steps = np.arange(len(ids))
    cut = windowed(steps, starts, window=window)[np.arange(len(starts))]
    assert cut.tolist() == [list(range(s, s + window)) for s in wanted]


def test_shared_steps_are_read_once():
    class Steps:
        shape, dtype, read = (20, 2), np.dtype(np.float32), []

        def __getitem__(self, rows):
            self.read += rows.tolist()
            return np.stack([rows, -rows], axis=1)

    column = Steps()
    cut = windowed(column, np.array([0, 2, 9]), window=4)
    assert cut.shape == (3, 4, 2)
    assert cut[np.array([0, 1])][1, :, 0].tolist() == [2, 3, 4, 5]
    assert column.read == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        ([0, 1, 0], {}, "do not lie together"),
        ([0, 0], {"window": 0}, "window is 0"),
        ([0, 0], {"stride": 0}, "stride is 0"),
        ([0, 0], {"horizon": -1}, "horizon is -1"),
        ([0, 0], {"window": 3}, "longest recording has 2"),
    ],
)
def test_bad_input_is_named(ids, options, message):
    with pytest.raises(InputError, match=message):
        window_starts(ids, **{"window": 1, "stride": 1} | options)
