"""Features standardised within every sensor."""

import pytest
import torch

from tuplet import InputError
from tuplet.evaluate import linear_probe, standardise_by


def test_the_sensor_is_gone_the_content_stays_and_test_rows_change_no_statistic():
    g = torch.Generator().manual_seed(0)
    sensor, label = torch.arange(400) % 4, (torch.arange(400) // 4) % 2
    x = torch.randn(400, 5, generator=g) * 0.3 + label[:, None] * torch.tensor([1.0, 0, 0, 0, 0])
    x = x * (1 + sensor[:, None]) + 7.0 * sensor[:, None]
    train, test = slice(0, 300), slice(300, 400)
    even, seen = standardise_by((x[train], sensor[train]), (x[test], sensor[test]))
    assert linear_probe((x[train], sensor[train]), (x[test], sensor[test])).value > 0.9
    assert linear_probe((even, sensor[train]), (seen, sensor[test])).value < 0.45
    one, two = (sensor[s] == 3 for s in (train, test))
    across = linear_probe((even[~one], label[train][~one]), (seen[two], label[test][two]))
    assert across.value > 0.9
    assert torch.equal(standardise_by((x[train], sensor[train]), (x[test][:3] + 50, sensor[test][:3]))[0], even)
    wanted = (x[test][two] - x[train][one].mean(0)) / x[train][one].std(0, correction=0)
    torch.testing.assert_close(seen[two], wanted)


def test_a_sensor_without_training_rows_and_ids_of_another_length_are_one_line():
    x = torch.zeros(3, 2)
    with pytest.raises(InputError, match=r"ids name \[7\], of which train has no row"):
        standardise_by((x, torch.tensor([0, 0, 1])), (x[:1], torch.tensor([7])))
    with pytest.raises(InputError, match="expected \\(n, d\\) and n whole numbers"):
        standardise_by((x, torch.tensor([0, 1])))
