"""From texture to photo: stylize one pair at several ratios α/β, as in a row of the paper's Figure 2.

python examples/ratio.py [SIZE]
"""

import sys
from pathlib import Path

import impasto

IMAGES = Path(__file__).parent / "images"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 256

for ratio in (0.02, 0.2, 2.0, 20.0):
    painting = impasto.stylize(
        IMAGES / "temple.jpg",
        IMAGES / "langlois-bridge.jpg",
        size=SIZE,
        alpha=ratio,
        beta=1.0,
        recolor=0.0,  # else the largest ratio gives the photo in the painting's colours
    )
    painting.save(f"ratio-{ratio:g}.png")
    print(f"α/β = {ratio:g}: {painting.manifest['result']['by_term']}")
