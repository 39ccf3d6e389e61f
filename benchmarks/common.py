"""What every benchmark shares: the pictures, and results with machine and date."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

import impasto
from impasto.image.read import read_picture
from impasto.image.resize import fit, resize
from impasto.system.device import describe_machine

HERE = Path(__file__).parent
IMAGES = HERE.parent / "examples" / "images"
CONTENT, STYLE = IMAGES / "temple.jpg", IMAGES / "great-wave.jpg"


def pixels(path: Path, size: int) -> torch.Tensor:
    picture = read_picture(path)
    return resize(picture.pixels, *fit(picture.height, picture.width, size)).clamp(0, 1)


def keep(name: str, results: dict[str, Any], *, show: bool = True) -> None:
    """Print a result (unless it is long) and write it to results/, with what it was measured on."""
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report = {
        "benchmark": name,
        "date": date,
        "impasto": impasto.__version__,
        "machine": describe_machine(),
        **results,
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    path = HERE / "results" / f"{name}-{date[:10]}.json"
    path.write_text(text, encoding="utf-8")
    print((text if show else "") + f"written to {path}")
