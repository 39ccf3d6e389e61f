"""Quantiles are those of the sorted values."""

import pytest
import torch

from impasto.image.quantile import quantile


@pytest.mark.parametrize("count", [1, 7, 100])
def test_a_quantile_is_a_value_and_the_share_up_to_it_is_the_one_asked_for(count: int) -> None:
    values = torch.randperm(count, generator=torch.Generator().manual_seed(0)).float()
    for share in (0, 0.25, 0.5, 0.995, 1):
        level = quantile(values.view(1, count, 1), share)
        assert float((values <= level).sum()) == max(1, round(share * count))


def test_it_is_near_torchs() -> None:
    values = torch.rand(40, 50, generator=torch.Generator().manual_seed(0))
    for share in (0.1, 0.9):
        assert quantile(values, share) == pytest.approx(float(values.quantile(share)), abs=1e-3)
