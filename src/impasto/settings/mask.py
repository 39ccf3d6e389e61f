"""The settings of `impasto mask`. Standard library only."""

from dataclasses import dataclass
from typing import get_args

from impasto.choices import LIKE, MaskKind
from impasto.errors import SettingsError
from impasto.settings.options import check, option


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """How to divide a photo into areas.

    Raises:
        SettingsError: an unknown kind; `like:` without a painting.
    """

    kind: str = option(
        "subject",
        "what to make white: the subject, found by a network, or the light parts (luminance); or "
        "like:PAINTING, the areas that photo and painting share, in colours",
    )

    def __post_init__(self) -> None:
        check(self)
        kinds = (*get_args(MaskKind), f"{LIKE}PAINTING")
        if self.kind == LIKE or not (self.kind in kinds[:-1] or self.kind.startswith(LIKE)):
            raise SettingsError(f"kind is {self.kind!r}; it must be one of {', '.join(kinds)}.")
