"""Stylize several photos, each in one pass: with AdaIN, which takes any painting, and with a trained model.

python examples/fast.py [SIZE]
"""

import sys
from pathlib import Path

import impasto

IMAGES = Path(__file__).parent / "images"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512

stylizers = {
    "any": impasto.FastStylizer(IMAGES / "great-wave.jpg", size=SIZE),
    "trained": impasto.FastStylizer(size=SIZE, model="great-wave"),
}
for name, stylizer in stylizers.items():
    for photo in ("temple", "dandelion"):
        stylizer.stylize(IMAGES / f"{photo}.jpg").save(f"fast-{name}-{photo}.png")
