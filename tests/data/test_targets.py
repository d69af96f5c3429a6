"""Which target is meant."""

import numpy as np
import pytest

from tuplet import InputError
from tuplet.data import from_arrays
from tuplet.data._targets import target_of

X = np.arange(40.0)[:, None]


@pytest.mark.parametrize(
    ("names", "asked", "found"),
    [
        (["force"], None, "force"),
        (["force", "label"], None, "label"),
        (["force", "label"], "force", "force"),
        (["force", "speed"], None, "expected one of .'force', 'speed'."),
        (["force"], "mood", "target is 'mood', expected one of .'force'."),
        ([], None, "no target"),
    ],
)
def test_target_is_the_label_or_the_only_one(names, asked, found):
    source = from_arrays({"a": X, "b": X}, targets=dict.fromkeys(names, X[:, 0]))
    if found in names:
        assert target_of(source, asked) == found
    else:
        with pytest.raises(InputError, match=found):
            target_of(source, asked)
