"""Automatic masks against outlines drawn by hand: intersection over union, seconds, bytes fetched.

    scripts/bench masks [--photos FOLDER]

The outlines of twenty photographs (mask_outlines.json) were drawn before the net was run on any of them. The
photographs are not part of the project, because not all of their licences are known; the file names the
package of each. FOLDER holds them under the names in it. A photo that the net refuses counts as 0.

`iou` is the intersection over union of the mask at 1/2 and the outline; `iou_net` that of the net's own map,
enlarged, without the guided filter. Times are the second of two runs, from the picture in memory to the mask.
"""

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import HERE, keep
from jaxtyping import Bool
from PIL import Image as PILImage
from PIL import ImageDraw
from torch import Tensor

from impasto.errors import ImageError
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.masks.automatic import automatic_mask
from impasto.masks.subject import find_subject
from impasto.network.download import report_downloads
from impasto.network.weight_records import U2NETP
from impasto.network.weights import load_onnx


def outlined(photo: dict[str, Any], height: int, width: int) -> Bool[Tensor, "H W"]:
    """Where the subject is by hand, at that size; coordinates are thousandths of the long side."""
    area = PILImage.new("L", (width, height))
    draw, scale = ImageDraw.Draw(area), max(height, width) / 1000
    for level, polygons in ((1, photo["outlines"]), (0, photo["holes"])):
        for polygon in polygons:
            draw.polygon([(x * scale, y * scale) for x, y in polygon], level)
    return torch.from_numpy(np.array(area) > 0)


def intersection_over_union(mask: Bool[Tensor, "H W"], other: Bool[Tensor, "H W"]) -> float:
    """1 where both are the same, 0 where they have nothing in common."""
    return float((mask & other).sum() / (mask | other).sum())


def measured(photo: dict[str, Any], picture: Picture) -> dict[str, Any]:
    """One photo's figures."""
    by_hand = outlined(photo, picture.height, picture.width)
    facts = {"file": photo["file"], "kind": photo["kind"], "subject": photo["subject"]}
    try:
        where = find_subject(picture)
        began = time.perf_counter()
        mask = automatic_mask(picture, "subject").mask
        seconds = time.perf_counter() - began
    except ImageError as refusal:
        return {**facts, "iou": 0.0, "iou_net": 0.0, "seconds": None, "refused": str(refusal)}
    enlarged = resize(where.float()[None, None] / 255, picture.height, picture.width)
    return {
        **facts,
        "iou": round(intersection_over_union(mask[0, 0] >= 0.5, by_hand), 4),
        "iou_net": round(intersection_over_union(enlarged[0, 0] >= 0.5, by_hand), 4),
        "seconds": round(seconds, 3),
    }


def bytes_fetched() -> int:
    """What travels when the cache is empty, of the weights."""
    last = [0]
    with (
        tempfile.TemporaryDirectory() as cache,
        report_downloads(lambda done, _: last.__setitem__(0, done)),
    ):
        load_onnx(U2NETP, cache=cache)
    return last[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, default=HERE.parent / "shared")
    folder = parser.parse_args().photos
    rows = []
    for photo in json.loads((HERE / "mask_outlines.json").read_text(encoding="utf-8"))["photos"]:
        path = folder / photo["file"]
        if hashlib.sha256(path.read_bytes()).hexdigest() != photo["sha256"]:
            raise SystemExit(f"{path} is not the photograph that was outlined: its SHA-256 differs.")
        rows.append(measured(photo, read_picture(path)))
    ious = [row["iou"] for row in rows]
    keep(
        "masks",
        {
            "net": {"name": U2NETP.name, "sha256": U2NETP.member_sha256},
            "mean_iou": round(float(np.mean(ious)), 4),
            "mean_iou_net": round(float(np.mean([row["iou_net"] for row in rows])), 4),
            "median_iou": round(float(np.median(ious)), 4),
            "worst_iou": min(ious),
            "seconds": round(float(np.median([row["seconds"] for row in rows if row["seconds"]])), 3),
            "longest_seconds": max(row["seconds"] or 0 for row in rows),
            "bytes_fetched": bytes_fetched(),
            "photos": rows,
        },
    )


if __name__ == "__main__":
    main()
