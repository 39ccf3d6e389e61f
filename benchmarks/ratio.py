"""What α/β means under the two formulas, over a range of image sizes: the table and sheet of docs/paper.md.

    .venv/bin/python benchmarks/ratio.py [--sizes 128 256 384] [--sheet docs/figures/ratio.jpg]

Paints row E of Figure 2 (all five style layers, from noise) at each size: with the balanced formula at the
four columns of the figure, and with the literal formula at the smallest of them and two far smaller ratios.
Prints the squared relative errors of content and style that are reached, writes
benchmarks/results/ratio-<date>.json, and puts the pictures side by side.
"""

import argparse
import json
from datetime import datetime, timezone
from pathlib import Path

import torch

import impasto
from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.image.write import write_picture
from impasto.objective.evaluate import evaluator
from impasto.recipes.figure import BALANCED_PER_PAPER, RATIOS
from impasto.recipes.stylize import plan_stylize
from impasto.run.layout import Layout
from impasto.run.loop import complete
from impasto.settings.stylize import StylizeSettings
from impasto.system.device import describe_machine

ROOT = Path(__file__).parent.parent
CONTENT, STYLE = ROOT / "examples/images/temple.jpg", ROOT / "examples/images/langlois-bridge.jpg"
LITERAL = (1e-5, 1e-7, 1e-9)
HEIGHT, WIDTH = 144, 216


def settings(formula: str, ratio: float, size: int) -> StylizeSettings:
    return StylizeSettings(
        formula=formula,  # type: ignore[arg-type]
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


def errors(picture: Picture, size: int) -> tuple[float, float]:
    """Squared relative errors of content and style, the same measure for every picture."""
    judged = plan_stylize(CONTENT, STYLE, settings("balanced", 1 / BALANCED_PER_PAPER, size))
    objective = judged.problem.objective(judged.scales[-1], Layout())
    evaluation = evaluator(judged.problem.network, objective)(picture.pixels)
    content = evaluation.by_kind["content"]
    return content, sum(evaluation.by_kind.values()) - content


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 384])
    arguments.add_argument("--sheet", default=str(ROOT / "docs/figures/ratio.jpg"))
    chosen = arguments.parse_args()
    columns = [("balanced", ratio) for ratio in RATIOS] + [("paper", ratio) for ratio in LITERAL]
    rows, strips = [], []
    for size in chosen.sizes:
        strip = []
        for formula, ratio in columns:
            picture = complete(plan_stylize(CONTENT, STYLE, settings(formula, ratio, size))).picture
            content, style = errors(picture, size)
            rows.append(
                {"formula": formula, "ratio": ratio, "size": size, "content": content, "style": style}
            )
            print(f"{size:4d} px  {formula:8s} α/β {ratio:g}: content {content:.3f}, style {style:.3f}")
            strip.append(resize(picture.pixels, HEIGHT, WIDTH).clamp(0, 1))
        strips.append(torch.cat(strip, dim=3))
    write_picture(Picture(torch.cat(strips, dim=2), None, "ratio"), chosen.sheet)
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report = {
        "benchmark": "ratio",
        "date": date,
        "impasto": impasto.__version__,
        "machine": describe_machine(),
    }
    path = ROOT / "benchmarks/results" / f"ratio-{date[:10]}.json"
    path.write_text(
        json.dumps({**report, "rows": rows}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"written to {path} and {chosen.sheet}")


if __name__ == "__main__":
    main()
