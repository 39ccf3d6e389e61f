"""Automatic masks against outlines drawn by hand: intersection over union, seconds, bytes fetched.

    scripts/bench masks --photos FOLDER

The outlines of twenty photographs (mask_outlines.json) were drawn before the network was run on any of them.
The photographs are not part of the project, because not all of their licences are known; mask_outlines.json
names the package that has each. FOLDER holds them under the names given there.

`iou` is the intersection over union of the outline and the mask, cut at 1/2. `iou_net` is that of the
network's own map, enlarged, without the guided filter. A photo in which the network finds no subject counts
as 0. Times are the second of two runs, from the picture in memory to the mask.
"""

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import HERE, argument_parser, parse_arguments, save_result
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
    """The area inside the outlines drawn by hand, whose coordinates are thousandths of the long side."""
    area = PILImage.new("L", (width, height))
    draw, scale = ImageDraw.Draw(area), max(height, width) / 1000
    for level, polygons in ((1, photo["outlines"]), (0, photo["holes"])):
        for polygon in polygons:
            draw.polygon([(x * scale, y * scale) for x, y in polygon], level)
    return torch.from_numpy(np.array(area) > 0)


def intersection_over_union(mask: Bool[Tensor, "H W"], other: Bool[Tensor, "H W"]) -> float:
    """How far two masks agree: 1 if they are equal, 0 if they do not overlap."""
    return float((mask & other).sum() / (mask | other).sum())


def compare(photo: dict[str, Any], picture: Picture) -> dict[str, Any]:
    """Compare a photo's automatic mask with its outlines.

    Args:
        photo: the photo's entry in mask_outlines.json.
        picture: the photo.
    """
    by_hand = outlined(photo, picture.height, picture.width)
    facts = {"file": photo["file"], "kind": photo["kind"], "subject": photo["subject"]}
    try:
        network_map = find_subject(picture)
        began = time.perf_counter()
        mask = automatic_mask(picture, "subject").mask
        seconds = time.perf_counter() - began
    except ImageError as error:
        return {**facts, "iou": 0.0, "iou_net": 0.0, "seconds": None, "refused": str(error)}
    enlarged = resize(network_map.levels.float()[None, None] / 255, picture.height, picture.width)
    return {
        **facts,
        "iou": round(intersection_over_union(mask[0, 0] >= 0.5, by_hand), 4),
        "iou_net": round(intersection_over_union(enlarged[0, 0] >= 0.5, by_hand), 4),
        "seconds": round(seconds, 3),
    }


def bytes_fetched() -> int:
    """The bytes of the weights that are downloaded into an empty cache."""
    last = [0]
    with (
        tempfile.TemporaryDirectory() as cache,
        report_downloads(lambda done, _: last.__setitem__(0, done)),
    ):
        load_onnx(U2NETP, cache=cache)
    return last[0]


def read_photo(photo: dict[str, Any], folder: Path) -> Picture:
    """Read a photo that has been outlined.

    Raises:
        SystemExit: the file is missing, or is another one.
    """
    path = folder / photo["file"]
    if not path.is_file():
        raise SystemExit(f"There is no {path}. Name the folder of the photographs with --photos.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != photo["sha256"]:
        raise SystemExit(f"{path} is not the photograph that was outlined: its SHA-256 differs.")
    return read_picture(path)


def main() -> None:
    """Compare the masks of all photos."""
    parser = argument_parser(__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the photographs")
    chosen = parse_arguments(parser)
    photos = json.loads((HERE / "mask_outlines.json").read_text(encoding="utf-8"))["photos"]
    if chosen.trial:
        photos = photos[:2]
    rows = [compare(photo, read_photo(photo, chosen.photos)) for photo in photos]
    ious = [row["iou"] for row in rows]
    seconds = [row["seconds"] for row in rows if row["seconds"]]
    save_result(
        "masks",
        {
            "net": {"name": U2NETP.name, "sha256": U2NETP.member_sha256},
            "mean_iou": round(float(np.mean(ious)), 4),
            "mean_iou_net": round(float(np.mean([row["iou_net"] for row in rows])), 4),
            "median_iou": round(float(np.median(ious)), 4),
            "worst_iou": min(ious),
            "seconds": round(float(np.median(seconds)), 3),
            "longest_seconds": max(seconds),
            "bytes_fetched": bytes_fetched(),
            "photos": rows,
        },
        chosen.results,
    )


if __name__ == "__main__":
    main()
