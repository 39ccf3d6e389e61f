"""The settings of measuring. Standard library only."""

from dataclasses import dataclass

from impasto.settings.base import DEVICE_HELP
from impasto.settings.options import check, option


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How pictures are measured.

    Raises:
        SettingsError: a value that is out of range, of another kind, or not a number; it names the setting.
    """

    size: int = option(
        512, "longest side at which networks see a picture; larger ones are shrunk to it", unit="px", low=32,
        high=100_000,
    )  # fmt: skip
    device: str = option("auto", DEVICE_HELP, advanced=True, machine_only=True)
    threads: int = option(
        0, "processor threads; 0: one per core", low=0, high=4096, advanced=True, machine_only=True
    )

    def __post_init__(self) -> None:
        check(self)
