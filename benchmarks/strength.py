"""What strength does on six pairs: how much of the photo is given up, and how the two gradients balance.

    scripts/bench strength [--size 192] [--strengths 0.1 0.3 0.5 0.7 0.9] [--fixed]

For every pair and strength the result has, at the end of the run, the relative squared error of the photo's
features, the weighted style losses divided by their weight, and the content's share of the norms of the two
weighted gradients. `--fixed` keeps the style's weight as it is at the start, for comparison.
"""

import statistics
from dataclasses import replace

from common import argument_parser, example, parse_arguments, save_result

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
FACTS = ("content_error", "style_error", "content_share_of_gradients")


def run_facts(pair: tuple[str, str], settings: StylizeSettings, cache: Cache) -> dict[str, float]:
    """Paint a pair; the facts of the finished picture."""
    photo, painting = map(example, pair)
    plan = plan_stylize(photo, painting, settings, cache=cache)
    *_, last = iter_run(plan)
    end = last.snapshot()
    assert end.descent is not None
    assert end.space is not None
    image = end.space.whole_image(end.descent.point)
    objective = plan.problem.objective(plan.scales[-1], Layout())
    objective = objective.scale_style(end.style_factor).with_matches(end.matches)
    losses, norms = {}, {}
    for kind in ("content", "style"):
        terms = tuple(term for term in objective.terms if term.kind == kind)
        evaluation = evaluator(plan.problem.network, Objective(terms))(image)
        losses[kind], norms[kind] = float(evaluation.loss), float(evaluation.gradient.norm())
    return {
        "content_error": round(losses["content"] / settings.content_weight, 4),
        "style_error": round(losses["style"] / settings.style_weight / end.style_factor, 4),
        "content_share_of_gradients": round(norms["content"] / (norms["content"] + norms["style"]), 3),
        "balance": round(end.style_factor, 3),
    }


def spread(values: list[float]) -> str:
    """The mean of some values, and how far the least and the largest depart from it."""
    mean = statistics.mean(values)
    return f"{mean:.3f}, {min(values) / mean - 1:+.0%} to {max(values) / mean - 1:+.0%}"


def main() -> None:
    """Paint every pair at every strength."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=192, help="long side in pixels [192]")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="number of pairs [all six]")
    parser.add_argument("--fixed", action="store_true", help="do not correct the style's weight")
    chosen = parse_arguments(parser, size=64, strengths=[0.3, 0.7], pairs=1)
    cache, pairs = Cache(), {}
    for photo, painting in PAIRS[: chosen.pairs]:
        rows = {}
        for strength in chosen.strengths:
            settings = StylizeSettings(size=chosen.size, strength=strength, precision="float32")
            if chosen.fixed:
                settings = replace(settings, alpha=settings.content_weight, beta=settings.style_weight)
            rows[str(strength)] = run_facts((photo, painting), settings, cache)
            print(photo, painting, strength, rows[str(strength)], flush=True)
        pairs[f"{photo} × {painting}"] = rows
    over_pairs = {
        strength: {name: spread([rows[str(strength)][name] for rows in pairs.values()]) for name in FACTS}
        for strength in chosen.strengths
    }
    name = "strength-fixed" if chosen.fixed else "strength"
    save_result(name, {"size": chosen.size, "over_pairs": over_pairs, "pairs": pairs}, chosen.results)


if __name__ == "__main__":
    main()
