"""A wallpaper from a painting: match its style on a torus, so that copies join without a seam.

python examples/texture.py [SIZE]    SIZE a multiple of 16
"""

import sys
from pathlib import Path

import impasto

PAINTING = Path(__file__).parent / "images" / "great-wave.jpg"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 256

settings = impasto.ReconstructStyleSettings(size=f"{SIZE}x{SIZE}", style_size=SIZE, tileable=True, tv=0.1)
impasto.reconstruct_style(PAINTING, settings).save("texture.png")
