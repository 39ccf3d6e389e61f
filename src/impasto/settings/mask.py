"""The settings of `impasto mask`. Standard library only."""

from dataclasses import dataclass

from impasto.choices import MaskKind
from impasto.settings.options import check, option


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """How to divide a photo into two areas.

    Raises:
        SettingsError: an unknown kind.
    """

    kind: MaskKind = option(
        "subject", "what to make white: the subject, found by a network, or the light parts (luminance)"
    )

    def __post_init__(self) -> None:
        check(self)
