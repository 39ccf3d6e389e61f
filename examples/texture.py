"""Make a wallpaper of a painting's style: opposite edges fit, so copies join without a seam.

The layers are those of Gatys, Ecker and Bethge 2015, "Texture Synthesis Using Convolutional Neural Networks"
(arXiv:1505.07376): conv1_1 and the poolings.

python examples/texture.py [SIZE]

SIZE is a multiple of 16.
"""

import sys
from pathlib import Path

import impasto

PAINTING = Path(__file__).parent / "images" / "great-wave.jpg"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 256

LAYERS = dict.fromkeys(("conv1_1", "pool1", "pool2", "pool3", "pool4"), 0.2)

texture = impasto.reconstruct_style(
    PAINTING, layers=LAYERS, size=f"{SIZE}x{SIZE}", style_size=SIZE, tileable=True, tv=0.1
)
texture.save("texture.png")
