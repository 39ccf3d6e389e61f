"""Several photos in one pass each: any painting through AdaIN, and a painter that has learned one.

python examples/fast.py [SIZE]
"""

import sys
from pathlib import Path

import impasto

IMAGES = Path(__file__).parent / "images"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512

painters = {
    "any": impasto.FastStylizer(IMAGES / "great-wave.jpg", size=SIZE),
    "trained": impasto.FastStylizer(size=SIZE, model="great-wave"),
}
for name, painter in painters.items():
    for photo in ("temple", "dandelion"):
        painter.stylize(IMAGES / f"{photo}.jpg").save(f"fast-{name}-{photo}.png")
