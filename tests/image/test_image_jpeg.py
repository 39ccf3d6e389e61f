"""JPEG files that end too early are refused, even with an end mark; stray bytes are harmless."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from impasto.errors import ImageError
from impasto.image.read import read_picture

END = b"\xff\xd9"
KINDS = {
    "colour": ("RGB", {}),
    "grey": ("L", {}),
    "cmyk": ("CMYK", {}),
    "restarts": ("RGB", {"restart_marker_rows": 1}),
    "progressive": ("RGB", {"progressive": True}),
}


def jpeg(kind: str) -> bytes:
    mode, options = KINDS[kind]
    bands = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    values = np.random.default_rng(4).integers(0, 256, (72, 96, bands), dtype=np.uint8)
    file = io.BytesIO()
    PilImage.frombytes(mode, (96, 72), values.tobytes()).save(file, "JPEG", quality=80, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_with_an_end_mark_is_refused(kind: str, tmp_path: Path) -> None:
    """libvips overlooks cuts in the last rows: with fail_on="warning" alone, the last files are read."""
    data, path = jpeg(kind), tmp_path / "cut.jpg"
    path.write_bytes(data)
    whole = read_picture(path).pixels
    scan = data.rindex(b"\xff\xda")  # in a progressive file, the last pass
    for part in (0.3, 0.5, 0.8, 0.9, 0.95, 0.97):
        path.write_bytes(data[: scan + int(part * (len(data) - scan))] + END)
        with pytest.raises(ImageError, match=r"is cut off or damaged \(JPEG: .*\)\. Copy or export"):
            read_picture(path)
    path.write_bytes(data)
    assert torch.equal(read_picture(path).pixels, whole)


@pytest.mark.parametrize("kind", ["colour", "progressive"])
def test_files_with_stray_bytes_are_read(kind: str, tmp_path: Path) -> None:
    data, path = jpeg(kind), tmp_path / "odd.jpg"
    path.write_bytes(data)
    whole = read_picture(path).pixels
    for odd in (data[:-2] + b"\x12\x34\x56" * 5 + END, data + b"more"):
        path.write_bytes(odd)
        assert torch.equal(read_picture(path).pixels, whole)
