"""Stylize a photo in the style of a painting, and print the loss meanwhile.

python examples/transfer.py [SIZE]
"""

import sys
from pathlib import Path

import impasto

IMAGES = Path(__file__).parent / "images"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512

for progress in impasto.iter_stylize(
    IMAGES / "dandelion.jpg", IMAGES / "kandinsky.jpg", size=SIZE, strength=0.6
):
    if progress.step % 10 == 0:
        print(f"{progress.width}×{progress.height} step {progress.step}: loss {progress.loss:.3f}")
progress.painting().save("transfer.png")
