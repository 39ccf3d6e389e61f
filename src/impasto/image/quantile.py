"""Quantiles of pictures and responses of any size."""

from jaxtyping import Float
from torch import Tensor

from impasto.system import process as process  # must come before anything is computed


def quantile(values: Float[Tensor, "..."], share: float) -> float:
    """Return the smallest of the values such that this fraction of them is at most as large.

    `torch.quantile` takes at most 2^24 values.

    Args:
        values: at least 1, of any shape.
        share: 0..1; rounded to a whole number of values, at least 1.
    """
    flat = values.flatten()
    return float(flat.kthvalue(max(1, round(share * len(flat)))).values)
