"""The dial of strength over six pairs: what is given up of the photo, and how the two gradients balance.

    scripts/bench strength [--size 192] [--strengths 0.1 0.3 0.5 0.7 0.9] [--fixed]

For every pair and strength: the relative squared error of the photo's features and of the painting's Gram
matrices at the end, and the content's share of the two weighted gradients' norms there. `--fixed` leaves the
weights as the formula has them, for comparison.
"""

import argparse
import statistics
from dataclasses import replace

from common import IMAGES, keep

from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.recipes.stylize import plan_stylize
from impasto.run.layout import Layout
from impasto.run.loop import iter_run
from impasto.settings.stylize import StylizeSettings
from impasto.style.cache import Cache

PAIRS = (
    ("temple", "langlois-bridge"),
    ("dandelion", "great-wave"),
    ("temple", "kandinsky"),
    ("dandelion", "langlois-bridge"),
    ("temple", "great-wave"),
    ("dandelion", "kandinsky"),
)


def measured(content: str, style: str, settings: StylizeSettings, workshop: Cache) -> dict[str, float]:
    """What one run has reached."""
    job = plan_stylize(IMAGES / f"{content}.jpg", IMAGES / f"{style}.jpg", settings, cache=workshop)
    *_, last = iter_run(job)
    here = last.snapshot()
    assert here.descent is not None
    assert here.space is not None
    objective = job.problem.objective(job.scales[-1], Layout()).scale_style(here.style_factor)
    objective = objective.with_matches(here.matches)
    losses, norms = {}, {}
    for kind in ("content", "style"):
        terms = tuple(term for term in objective.terms if term.kind == kind)
        evaluation = evaluator(job.problem.network, Objective(terms))(
            here.space.whole_image(here.descent.point)
        )
        losses[kind], norms[kind] = float(evaluation.loss), float(evaluation.gradient.norm())
    return {
        "content_error": round(losses["content"] / settings.content_weight, 4),
        "style_error": round(losses["style"] / settings.style_weight / here.style_factor, 4),
        "content_share_of_gradients": round(norms["content"] / (norms["content"] + norms["style"]), 3),
        "balance": round(here.style_factor, 3),
    }


def spread(values: list[float]) -> str:
    """The middle of some values, and how far they go from it."""
    middle = statistics.mean(values)
    return f"{middle:.3f}, {min(values) / middle - 1:+.0%} to {max(values) / middle - 1:+.0%}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=192)
    arguments.add_argument("--strengths", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9])
    arguments.add_argument("--fixed", action="store_true")
    chosen = arguments.parse_args()
    workshop, pairs = Cache(), {}
    for content, style in PAIRS:
        rows = {}
        for strength in chosen.strengths:
            settings = StylizeSettings(size=chosen.size, strength=strength, precision="float32")
            if chosen.fixed:
                settings = replace(settings, alpha=settings.content_weight, beta=settings.style_weight)
            rows[str(strength)] = measured(content, style, settings, workshop)
            print(content, style, strength, rows[str(strength)], flush=True)
        pairs[f"{content} × {style}"] = rows
    over = {
        strength: {
            name: spread([rows[str(strength)][name] for rows in pairs.values()])
            for name in ("content_error", "style_error", "content_share_of_gradients")
        }
        for strength in chosen.strengths
    }
    name = "strength-fixed" if chosen.fixed else "strength"
    keep(name, {"size": chosen.size, "over_pairs": over, "pairs": pairs})


if __name__ == "__main__":
    main()
