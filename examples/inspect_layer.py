"""Draw what the filters of a layer respond to, and the layer's Gram matrix, which is its style.

python examples/inspect_layer.py [SIZE]
"""

import sys
from pathlib import Path

import impasto

PHOTO = Path(__file__).parent / "images" / "temple.jpg"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512

sheet = impasto.features(PHOTO, layer="conv2_1", size=SIZE, most=16)
impasto.write_picture(sheet.picture, "responses.png")
print("strongest channels:", sheet.channels)

gram = impasto.features(PHOTO, layer="conv2_1", size=SIZE, gram=True)
impasto.write_picture(gram.picture, "gram.png")
