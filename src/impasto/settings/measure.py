"""The settings of `impasto measure`. Standard library only."""

from dataclasses import dataclass

from impasto.settings.base import DEVICE_HELP, THREADS_HELP
from impasto.settings.options import check, option


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How to measure pictures.

    Raises:
        SettingsError: a value of the wrong type or out of range; the message names the setting.
    """

    size: int = option(
        512, "longest side at which a picture is measured; larger ones are shrunk to it",
        unit="px", low=32, high=100_000,
    )  # fmt: skip
    device: str = option("auto", DEVICE_HELP, advanced=True, machine_only=True)
    threads: int = option(0, THREADS_HELP, low=0, high=4096, advanced=True, machine_only=True)

    def __post_init__(self) -> None:
        check(self)
