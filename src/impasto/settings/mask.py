"""The settings of finding a mask. Standard library only."""

from dataclasses import dataclass

from impasto.choices import MaskKind
from impasto.settings.options import check, option


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """How a photo is divided in two.

    Raises:
        SettingsError: a kind that there is not.
    """

    kind: MaskKind = option(
        "subject", "what is white: the subject, found by a network, or what is light (luminance)"
    )

    def __post_init__(self) -> None:
        check(self)
