"""Reconstruct a photo from single layers, to see what each layer keeps of it (Gatys et al. 2015, Figure 1).

python examples/reconstruct.py [SIZE]
"""

import sys
from pathlib import Path

import impasto

PHOTO = Path(__file__).parent / "images" / "temple.jpg"
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 256

for layer in ("conv1_1", "conv3_1", "conv5_1"):
    painting = impasto.reconstruct_content(PHOTO, layer=layer, size=SIZE)
    painting.save(f"reconstruction-{layer}.png")
    result = painting.manifest["result"]
    print(f"{layer}: relative error {result['relative_error']:.1%}, PSNR {result['psnr']:.1f} dB")
