"""A report on this machine, for `impasto doctor` and for bug reports."""

from importlib.metadata import PackageNotFoundError, version

from impasto.network.weight_records import cache_folder
from impasto.network.weights import verify
from impasto.system.device import available, choose_compute, describe_machine, has_bfloat16
from impasto.system.process import repeatability
from impasto.version import __version__

LIBRARIES = ("numpy", "pyvips", "pyvips-binary", "safetensors", "pypi-simple", "typer", "rich", "pillow-heif")


def machine_report() -> dict[str, str]:
    """Report versions, devices, threads, bfloat16, cache and weights: a word or two for each name."""
    compute = choose_compute()
    repeatable = repeatability(compute.device)
    facts = {"impasto": __version__, **{name: str(value) for name, value in describe_machine().items()}}
    facts |= {name: _version(name) for name in LIBRARIES}
    facts |= {
        "devices": ", ".join(available()),
        "device chosen": str(compute.device),
        "bfloat16": "yes" if has_bfloat16(compute.device) else "no; features are float32",
        "repeatable": "yes" if repeatable.holds else f"no: {repeatable.reason}",
        "cache": str(cache_folder()),
    }
    return facts | {f"weights {status.record.name}": status.state for status in verify()}


def _version(name: str) -> str:
    """Return the installed version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:  # pyvips-binary, for instance, where the system has a libvips of its own
        return "not installed"
