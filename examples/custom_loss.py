"""Add two losses of your own: the picture should be golden on average, and calm where VGG-19 sees edges.

python examples/custom_loss.py [SIZE]
"""

import sys
from pathlib import Path

import torch

import impasto

IMAGES = Path(__file__).parent / "images"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512

GOLD = torch.tensor([0.8, 0.6, 0.2])

# The first function returns sums, because sums add up over tiles and processes. The score gets their mean
# over the picture's pixels.
golden = impasto.custom_term(
    "golden",
    lambda image: image.sum((0, 2, 3)),
    score=lambda mean: (mean - GOLD.to(mean)).square().sum(),
    weight=20.0,
)
calm = impasto.custom_term("calm", lambda responses: responses.square().sum(), layer="conv1_2", weight=1e-3)

for progress in impasto.iter_stylize(
    IMAGES / "temple.jpg", IMAGES / "great-wave.jpg", size=SIZE, extra_terms=[golden, calm]
):
    if progress.step % 10 == 0:
        print({name: round(value, 4) for name, value in progress.by_term.items()})
progress.painting().save("custom-loss.png")
