"""Paint with an exported model: with onnxruntime, NumPy and Pillow, and without PyTorch or Impasto.

impasto export MODEL -o net.onnx
python examples/onnx_paint.py net.onnx photo.jpg out.png [SIZE]

SIZE is the longest side in pixels. If it is omitted, the photo keeps its size.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

network, photo, output = sys.argv[1:4]

session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
print(f"Model by Impasto {metadata['impasto']}, styles {metadata['styles']} in shares {metadata['shares']}")

picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
if len(sys.argv) > 4:
    picture.thumbnail((int(sys.argv[4]),) * 2, Image.Resampling.LANCZOS)

pixels = np.asarray(picture, dtype=np.float32) / 255  # (H, W, 3), RGB, 0..1
image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])  # (1, 3, H, W)
(painting,) = session.run(["painting"], {"image": image})

Image.fromarray(np.rint(painting[0].transpose(1, 2, 0) * 255).astype(np.uint8)).save(output)
print(f"{output}: {picture.width}×{picture.height}")
