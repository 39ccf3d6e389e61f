"""The settings of `impasto stylize`. Standard library only.

The options of the command, the table in the docs and the JSON in the manifest come from these fields.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

from impasto.choices import NEIGHBORS, Blending, Effort, Formula, Matching, Optimizer, Pooling, SolverSpace
from impasto.errors import SettingsError
from impasto.settings import strength
from impasto.settings.base import (
    CONTENT_LAYERS_HELP,
    POOLING_HELP,
    STATISTICS_HELP,
    STYLE_LAYERS_HELP,
    LookSettings,
    RunSettings,
)
from impasto.settings.blend import parse_blend
from impasto.settings.effort import RECIPE, Schedule, find_schedule
from impasto.settings.options import option
from impasto.settings.parsing import parse_duration, parse_style_loss
from impasto.settings.presets import DEFAULT_WEIGHTS, PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS, preset_values
from impasto.settings.strength import ContentAim

BUILT_IN_STARTS = ("noise", "content", "fast")
"""Words that `init` may be; anything else is a file."""

PRESET_AND_EFFORT = (
    "preset {name} and effort {effort} do not go together: the preset says by itself which steps are taken. "
    "Leave one of them out."
)
"""The error of naming both."""

NEIGHBORS_WEIGHT = 0.2
"""What `neighbors=1` counts beside `gram=1`: as much as one of the five style layers."""

PREVIEW = 256
"""Long side of a preview, in pixels."""


@dataclass(frozen=True, kw_only=True)
class StylizeSettings(LookSettings, RunSettings):
    """How to repaint one picture in the style of another.

    Raises:
        SettingsError: a value that is out of range, of another kind, or not a number; it names the setting.
    """

    # What a field meant in files that were written before there was such a field.
    BEFORE: ClassVar[Mapping[str, object]] = {"recipe": 1, "match": "none"}

    size: int = option(
        512, "long side of the picture", unit="px", low=16, high=100_000, label="Size of the picture"
    )
    strength: float = option(
        0.5, "0 keeps the photo, 1 leaves only the painting's texture", low=0, high=1, label="Strength"
    )
    effort: Effort = option(
        "good", "how much time the painting is given: draft, good or best", label="Effort"
    )
    preview: bool = option(
        False, "stop at 256 px, where the run to the full size would be then: strokes as large in the picture"
    )
    budget: str = option(
        "",
        "time to paint in, such as 10s or 2m: as many steps as there is time for; if left out, --steps",
        label="Time to paint in",
    )
    init: str = option(
        "content", "what to start from: noise, content (the photo), fast (half photo, half what `impasto "
        "fast` paints), or an image file", label="What to start from",
    )  # fmt: skip
    layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP, label="Style layers"
    )
    blending: Blending = option(
        "targets",
        "several paintings: one style between theirs, or all of them at once (losses)",
        advanced=True,
    )
    match: Matching = option(
        "none", "regions: areas of the photo take their style from the areas of the paintings that they "
        "resemble; none: from everywhere", advanced=True, label="Matching areas",
    )  # fmt: skip
    style_loss: str | None = option(
        None, f"what a style is: {STATISTICS_HELP}, neighbors (the "
        "painting's most similar places), or several with weights relative to each other, such as "
        "gram=1,neighbors=1; if left out, the effort's", advanced=True, label="What a style is",
    )  # fmt: skip
    rematch: int = option(
        50, "steps after which neighbors searches again for the painting's most similar places; 0: only at "
        "the start of each scale", low=0, high=100_000, advanced=True,
    )  # fmt: skip
    rotations: int = option(
        1, "copies of the painting that neighbors searches, turned by equal parts of a full turn: 1, 2 or 4",
        low=1, high=4, advanced=True,
    )  # fmt: skip
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP, advanced=True
    )
    steps: int | None = option(
        None, "solver steps at the coarsest scale; if left out, the effort's", low=1, high=100_000
    )
    finest_steps: int | None = option(
        None, "solver steps at the finest scale, if there is more than one; if left out, the effort's",
        low=1, high=100_000, advanced=True,
    )  # fmt: skip
    scales: int = option(
        0, "sizes from coarse to fine, doubling; 1 works at the full size only, 0 starts at --coarsest",
        low=0, high=12, advanced=True,
    )  # fmt: skip
    coarsest: int | None = option(
        None, "long side of the coarsest scale, about; if left out, the effort's",
        unit="px", low=16, high=100_000, advanced=True,
    )  # fmt: skip
    optimizer: Optimizer | None = option(None, "the solver; if left out, the effort's", advanced=True)
    rate: float | None = option(
        None, "step length of Adam, in units of the image's 0..1; if left out, the effort's",
        low=1e-6, high=1, advanced=True,
    )  # fmt: skip
    space: SolverSpace | None = option(
        None, "what the solver moves: pixels, or the levels of a Laplacian pyramid, which calms flat parts; "
        "if left out, the effort's", advanced=True,
    )  # fmt: skip
    detail: float | None = option(
        None, "how much of the photo's fine detail each finer scale takes up; if left out, the effort's",
        low=0, high=1, advanced=True, label="Detail of the photo",
    )  # fmt: skip
    painting_detail: float | None = option(
        None, "how much of the painting's fine detail each finer scale takes up, from the places that the "
        "picture resembles; less below strength 0.5; if left out, the effort's", low=0, high=2, advanced=True,
        label="Detail of the painting",
    )  # fmt: skip
    recipe: int = option(
        RECIPE, "which generation of defaults to use: 1, that of version 0.1's first pictures; 2, the first "
        "with a pyramid; 3, today's",
        low=1, high=RECIPE, advanced=True,
    )  # fmt: skip
    formula: Formula = option(
        "balanced", "what the weights multiply; balanced: they mean the same at any size; paper: the literal "
        "formulas; others: those of other tools (docs/presets.md)", advanced=True,
    )  # fmt: skip
    alpha: float | None = option(
        None, "weight of content; follows from strength if left out", low=0, advanced=True,
        alias="content_weight", label="Content's weight α",
    )  # fmt: skip
    beta: float | None = option(
        None,
        "weight of style; follows from strength if left out",
        low=0,
        advanced=True,
        alias="style_weight",
        label="Style's weight β",
    )
    tv: float | None = option(
        None, "weight of smoothness (total variation); if left out, the effort's, or the formula's own",
        low=0, advanced=True, alias="tv_weight", label="Smoothness",
    )  # fmt: skip
    gamut: float | None = option(
        None, "weight against colours that no screen shows; if left out, 100, in other formulas 0",
        low=0, advanced=True, label="Colours within what screens show",
    )  # fmt: skip
    pooling: Pooling = option("max", POOLING_HELP, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        find_schedule(self.recipe, self.effort)
        parse_blend(self.blend)
        if self.budget:
            parse_duration(self.budget)
        if NEIGHBORS in self.style_mix and self.formula != "balanced":
            raise SettingsError(
                f"style-loss is {self.style_loss!r} and formula is {self.formula!r}: neighbors has no weight "
                "in that formula. Use formula balanced, or another style-loss."
            )
        if self.match != "none" and self.formula != "balanced":
            raise SettingsError(
                f"match is {self.match!r} and formula is {self.formula!r}, which is another tool's or the "
                "paper's and knows no matching. Leave out --match, or use formula balanced."
            )
        if self.match != "none" and self.keep:
            raise SettingsError(
                f"match is {self.match!r} and keep is {self.keep!r}: both divide the photo. Leave out "
                "--match or --keep."
            )
        if self.rotations == 3:
            raise SettingsError("rotations is 3; it must be 1, 2 or 4.")
        if self.content_weight == 0 and not (self.style_weight and any(self.layers.values())):
            raise SettingsError("there is nothing to paint towards: content and style both have weight 0.")

    @classmethod
    def preset(cls, name: str, **changes: object) -> "StylizeSettings":
        """The settings of that name, with changes.

        Raises:
            SettingsError: no preset of that name; an effort, which a preset leaves nothing to decide.
        """
        if "effort" in changes:
            raise SettingsError(PRESET_AND_EFFORT.format(name=name, effort=changes["effort"]))
        return cls(**{**preset_values(name), **changes})  # type: ignore[arg-type]

    def resolved(self) -> "StylizeSettings":
        """The same, with every number that effort decides."""
        values = {name: value for name, value in asdict(self.schedule).items() if name != "tv"}
        return replace(self, **values)

    @property
    def schedule(self) -> Schedule:
        """How to solve, as given or as effort has it."""
        default = find_schedule(self.recipe, self.effort)
        if self.formula != "balanced":
            default = replace(default, style_loss="gram")  # or the statistic of the tool that it is of
        given = {name: getattr(self, name) for name in asdict(default)}
        return replace(default, **{name: value for name, value in given.items() if value is not None})

    @property
    def style_mix(self) -> dict[str, float]:
        """The share of each statistic in the style's weight, from what is given or what effort has."""
        weights = parse_style_loss(self.schedule.style_loss)
        if NEIGHBORS in weights:
            weights[NEIGHBORS] *= NEIGHBORS_WEIGHT
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    @property
    def content_aim(self) -> ContentAim | None:
        """How much of the photo's features strength asks to give up.

        None where weights are given, or mean what another formula says.
        """
        if not self._strength_decides:
            return None
        weight = self.content_weight * sum(self.content_layers.values())
        return ContentAim.at(self.strength, self.recipe, weight)

    @property
    def painting_detail_share(self) -> float:
        """How much of the painting's fine detail finer scales take up: less below strength 0.5, at 0 none."""
        share = self.schedule.painting_detail
        return share * strength.painting_detail(self.strength) if self._strength_decides else share

    @property
    def noise_share(self) -> float:
        """The fraction of noise in a start from the photo: none up to strength 0.9, all at 1."""
        return strength.noise_share(self.strength) if self._strength_decides else 0.0

    @property
    def _strength_decides(self) -> bool:
        """Whether strength alone says how content and style are weighed."""
        return strength.decides(self.formula, self.alpha, self.beta)

    @property
    def content_weight(self) -> float:
        """The paper's α: as given, else the formula's own, more or less by strength."""
        return strength.content_weight(self.formula, self.strength) if self.alpha is None else self.alpha

    @property
    def style_weight(self) -> float:
        """The paper's β: as given, else the formula's own, more or less by strength."""
        return strength.style_weight(self.formula, self.strength) if self.beta is None else self.beta

    @property
    def variation_weight(self) -> float:
        """Of smoothness, as given or the formula's own."""
        if self.tv is not None:
            return self.tv
        if self.formula != "balanced":
            return DEFAULT_WEIGHTS[self.formula][2]
        return self.schedule.tv

    @property
    def gamut_weight(self) -> float:
        """Of the overshoot of colours, as given or the formula's own."""
        return DEFAULT_WEIGHTS[self.formula][3] if self.gamut is None else self.gamut
