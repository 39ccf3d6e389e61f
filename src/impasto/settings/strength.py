"""What strength means: weights, the content error to reach, noise at the start, the painting's detail.

Standard library only. Strength alone decides these where neither weight is given and the formula is ours.
"""

from dataclasses import dataclass

from impasto.choices import Formula
from impasto.settings.presets import DEFAULT_WEIGHTS

STEEPNESS = 1.5
"""How fast β/α moves with strength. At 1.5, strength 0.1 leaves the photo nearly as it is, 0.95 is nearly
texture."""


def content_weight(formula: Formula, strength: float) -> float:
    """Return the paper's α at a strength: the formula's own at 0.5, times (2 (1 − s))^1.5."""
    return DEFAULT_WEIGHTS[formula][0] * float((2 * (1 - strength)) ** STEEPNESS)


def style_weight(formula: Formula, strength: float) -> float:
    """Return the paper's β at a strength: the formula's own at 0.5, times (2 s)^1.5."""
    return DEFAULT_WEIGHTS[formula][1] * float((2 * strength) ** STEEPNESS)


@dataclass(frozen=True)
class ContentAim:
    """How much of the photo's features a run gives up; the style's weight is adjusted until it does.

    Attributes:
        error: relative squared error of the features to reach, above 0.
        weight: of all content terms together, so that their loss divided by it is the error.
    """

    error: float
    weight: float

    @classmethod
    def at(cls, strength: float, recipe: int, weight: float) -> "ContentAim | None":
        """Return the aim of a strength; None at 0 and 1, where there is nothing to balance.

        The error is √2 s^1.5 in recipe 1, a half at 0.5; 1.2 s in recipe 2; s since recipe 3, where the
        painting's detail adds some afterwards.
        """
        if strength in (0, 1):
            return None
        if recipe == 1:
            return cls(2**0.5 * float(strength**STEEPNESS), weight)
        return cls(1.2 * strength if recipe == 2 else strength, weight)

    def rebalanced(self, factor: float, content_loss: float) -> float:
        """Return the factor on the style's weight that should bring the content to its aim.

        The content's error was seen to grow with the style's weight to the power of 0.5 where half of the
        features are given up, of 1.5 where hardly any are.

        Args:
            factor: the one in use.
            content_loss: weighted loss of all content terms that it has led to, above 0.
        Returns:
            1/16 to 4. One adjustment changes the factor fourfold at most, because a loss after a few steps
            says little about the end.
        """
        reached = content_loss / self.weight
        power = min(1.5, max(0.5, 0.5 * (0.5 / self.error) ** 0.45))
        change = float((self.error / reached) ** (1 / power))
        return min(4.0, max(1 / 16, factor * min(4.0, max(0.25, change))))


def rebalance_steps(steps: int) -> tuple[int, ...]:
    """Return the steps of the coarsest scale after which the style's weight is adjusted, if any."""
    return (steps // 4, steps // 2, steps * 3 // 4) if steps >= 20 else ()


def painting_detail(strength: float, recipe: int) -> float:
    """Return the factor on the amount of the painting's detail that the settings ask for.

    It is 1 at strength 0.5. Above, it goes on to 1.3 at 1 since recipe 4, because with 1 SIFID rose again
    above 0.65 on most pairs. Below, recipes up to 4 take 2 s. Since recipe 5 it is more, 0.84 at 0.3: the
    brushwork is the painting's before the photo's shapes give way (docs/decisions.md).
    """
    less = max(0.0, 1 - 2 * strength)
    share = 1 - less**2 if recipe >= 5 else min(1.0, 2 * strength)
    return share + (0.6 * max(0.0, strength - 0.5) if recipe >= 4 else 0.0)


def recolor(strength: float, recipe: int) -> float:
    """Return the fraction taken of the recolouring that the settings ask for: all from 0.5 on, none at 0.

    Below 0.5 it is 2 s in recipe 4 and (2 s)² since recipe 5, which keeps more of the photo's colours.
    """
    share = min(1.0, 2 * strength)
    return share**2 if recipe >= 5 else share


def noise_share(strength: float, recipe: int) -> float:
    """Return the fraction of noise in a start from the photo: none up to 0.95, all at 1.

    At 1, weights alone do not remove the photo in the steps that a run has. In older recipes noise begins at
    0.9, which made pictures at 0.95 less like the painting than those at 0.8.
    """
    begins = 0.95 if recipe >= 4 else 0.9
    return float(max(0.0, (strength - begins) / (1 - begins)) ** 0.5)
