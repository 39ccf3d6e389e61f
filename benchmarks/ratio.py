"""What α/β means under the two formulas, at several sizes: the table and the picture sheet of docs/paper.md.

    scripts/bench ratio [--sizes 128 256 384] [--sheet docs/figures/ratio.jpg]

Paints row E of Figure 2 (all five style layers, from noise) at each size: with the balanced formula at the
figure's four ratios, and with the literal formula at the smallest of these and at two far smaller ratios. The
result has the squared relative errors of content and style that each picture reaches, measured in the same
way for all. The sheet has a row for each size.
"""

from pathlib import Path

import torch
from common import FIGURES, argument_parser, example, parse_arguments, save_result

from impasto.choices import Formula
from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.image.write import write_picture
from impasto.objective.evaluate import evaluator
from impasto.recipes.figure import BALANCED_PER_PAPER, RATIOS
from impasto.recipes.stylize import plan_stylize
from impasto.run.layout import Layout
from impasto.run.loop import complete
from impasto.settings.stylize import StylizeSettings
from impasto.shapes import Image

CONTENT, STYLE = example("temple"), example("langlois-bridge")
LITERAL_RATIOS = (1e-5, 1e-7, 1e-9)
COLUMNS: list[tuple[Formula, float]] = [
    *(("balanced", ratio) for ratio in RATIOS),
    *(("paper", ratio) for ratio in LITERAL_RATIOS),
]
CELL = 144, 216
"""Height and width of a picture on the sheet, in pixels."""


def settings(formula: Formula, ratio: float, size: int) -> StylizeSettings:
    """Settings as for Figure 2 (recipes/figure.py), at α/β = `ratio` in the paper's numbers."""
    return StylizeSettings(
        recipe=1,
        formula=formula,
        alpha=ratio * (BALANCED_PER_PAPER if formula == "balanced" else 1.0),
        beta=1.0,
        size=size,
        pooling="average",
        init="noise",
        tv=0.0,
        gamut=0.0,
        scales=3,
        steps=40,
        finest_steps=25,
    )


def errors(image: Image) -> tuple[float, float]:
    """Squared relative errors of content and style, by the balanced formula with both weights 1."""
    plan = plan_stylize(CONTENT, STYLE, settings("balanced", 1 / BALANCED_PER_PAPER, max(image.shape)))
    objective = plan.problem.objective(plan.scales[-1], Layout())
    by_kind = evaluator(plan.problem.network, objective)(image).by_kind
    return by_kind["content"], by_kind["style"]


def main() -> None:
    """Paint every column at every size."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 384])
    parser.add_argument("--sheet", type=Path, default=FIGURES / "ratio.jpg")
    chosen = parse_arguments(parser, sizes=[64], sheet=None)
    rows, strips = [], []
    for size in chosen.sizes:
        strip = []
        for formula, ratio in COLUMNS:
            image = complete(plan_stylize(CONTENT, STYLE, settings(formula, ratio, size))).picture.pixels
            content, style = errors(image)
            rows.append(
                {"formula": formula, "ratio": ratio, "size": size, "content": content, "style": style}
            )
            print(f"{size:4d} px  {formula:8s} α/β {ratio:g}: content {content:.3f}, style {style:.3f}")
            strip.append(resize(image, *CELL).clamp(0, 1))
        strips.append(torch.cat(strip, dim=3))
    if chosen.sheet:
        write_picture(Picture(torch.cat(strips, dim=2)), chosen.sheet)
    save_result("ratio", {"rows": rows}, chosen.results)


if __name__ == "__main__":
    main()
