"""A photograph in the manner of a painting, watched while it grows.

python examples/transfer.py [SIZE]
"""

import sys
from pathlib import Path

import impasto

IMAGES = Path(__file__).parent / "images"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512

settings = impasto.StylizeSettings(size=SIZE, strength=0.6)
job = impasto.plan_stylize(IMAGES / "dandelion.jpg", IMAGES / "kandinsky.jpg", settings)
for progress in impasto.iter_run(job):
    if progress.step % 10 == 0:
        print(f"{progress.width}×{progress.height} step {progress.step}: loss {progress.loss:.3f}")
impasto.finish(job, progress).save("transfer.png")
