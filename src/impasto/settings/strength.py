"""What strength means: the weights of content and style, and what a run starts from."""

from impasto.choices import Formula
from impasto.settings.presets import DEFAULT_WEIGHTS

STEEPNESS = 1.5
"""How fast β/α moves with strength. At 1.5, strength 0.1 leaves the photo nearly as it is, 0.95 is nearly
texture."""


def content_weight(formula: Formula, strength: float) -> float:
    """The paper's α at a strength: the formula's own at 0.5, times (2 (1 − s))^1.5."""
    return DEFAULT_WEIGHTS[formula][0] * float((2 * (1 - strength)) ** STEEPNESS)


def style_weight(formula: Formula, strength: float) -> float:
    """The paper's β at a strength: the formula's own at 0.5, times (2 s)^1.5."""
    return DEFAULT_WEIGHTS[formula][1] * float((2 * strength) ** STEEPNESS)


def content_error(strength: float, recipe: int) -> float | None:
    """The relative squared error of the photo's features to aim at.

    √2 s^1.5 in recipe 1, a half at 0.5; 1.2 s in recipe 2; s in recipe 3, where the painting's detail
    adds some afterwards. None at the ends, where there is nothing to weigh.
    """
    if strength in (0, 1):
        return None
    if recipe == 1:
        return 2**0.5 * float(strength**STEEPNESS)
    return 1.2 * strength if recipe == 2 else strength


def painting_detail(strength: float) -> float:
    """What is taken of the painting's detail, of the share that is said: all from 0.5 on, at 0 nothing."""
    return min(1.0, 2 * strength)


def noise_share(strength: float) -> float:
    """The share of noise in a start from the photo: none up to 0.9, all at 1.

    Above 0.9 weights alone do not take the photo away in the steps there are.
    """
    return float(max(0.0, (strength - 0.9) / 0.1) ** 0.5)
