"""The settings of `impasto stylize`. Standard library only.

The command's options, the page's controls, the table in docs/settings.md and the JSON in the manifest are all
generated from these fields.
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
"""Words that `init` accepts; anything else is the name of a file."""

PRESET_AND_EFFORT = (
    "preset {name} and effort {effort} do not go together: the preset decides the steps by itself. Leave out "
    "one of them."
)
"""The error message if both are given."""

NEIGHBORS_WEIGHT = 0.2
"""Weight of `neighbors=1` beside `gram=1`: as much as one of the five style layers."""

PREVIEW = 256
"""Long side of a preview, in pixels."""


@dataclass(frozen=True, kw_only=True)
class StylizeSettings(LookSettings, RunSettings):
    """How to repaint one picture in the style of another.

    Raises:
        SettingsError: a value of the wrong type or out of range; the message names the setting.
    """

    # The meaning of a missing field, for files that are older than the field.
    BEFORE: ClassVar[Mapping[str, object]] = {"recipe": 1, "match": "none"}

    size: int = option(
        512, "long side of the picture", unit="px", low=16, high=100_000, label="Size of the picture"
    )
    strength: float = option(
        0.5, "0 keeps the photo, 1 leaves only the painting's texture", low=0, high=1, label="Strength"
    )
    effort: Effort = option("good", "time to spend on the painting", label="Effort")
    preview: bool = option(
        False, "stop after the last scale of at most 256 px, to see early how the full size will look"
    )
    budget: str = option(
        "",
        "time to paint, such as 10s or 2m; takes as many steps as fit; if omitted, --steps decides",
        label="Time to paint",
    )
    init: str = option(
        "content", "the image to start from: noise, content (the photo), fast (half photo, half the result "
        "of `impasto fast`), or an image file", label="Image to start from",
    )  # fmt: skip
    layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_STYLE_LAYERS, 0.2), STYLE_LAYERS_HELP, label="Style layers"
    )
    blending: Blending = option(
        "targets",
        "how to combine several paintings: one style between theirs (targets), or all of theirs (losses)",
        advanced=True,
    )
    match: Matching = option(
        "none", "where areas of the photo take their style from: everywhere (none), or the areas of the "
        "paintings that they resemble (regions)", advanced=True, label="Matching areas",
    )  # fmt: skip
    style_loss: str | None = option(
        None, f"statistic of the style: {STATISTICS_HELP}, neighbors (the painting's most similar places), "
        "or several with relative weights, such as gram=1,neighbors=1; if omitted, the effort decides",
        advanced=True, label="Statistic of the style",
    )  # fmt: skip
    rematch: int = option(
        50, "with neighbors, steps between searches for the most similar places; 0: search only at the start "
        "of each scale", low=0, high=100_000, advanced=True,
    )  # fmt: skip
    rotations: int = option(
        1, "rotated copies of the painting that neighbors searches, at equal angles: 1, 2 or 4",
        low=1, high=4, advanced=True,
    )  # fmt: skip
    content_layers: Mapping[str, float] = option(
        dict.fromkeys(PAPER_CONTENT_LAYERS, 1.0), CONTENT_LAYERS_HELP, advanced=True
    )
    steps: int | None = option(
        None, "solver steps at the coarsest scale; if omitted, the effort decides", low=1, high=100_000
    )
    finest_steps: int | None = option(
        None, "solver steps at the finest scale, if there are several; 0: enlarge the scale below; if "
        "omitted, the effort decides", low=0, high=100_000, advanced=True,
    )  # fmt: skip
    scales: int = option(
        0, "number of sizes, each twice the one before; 1: the full size only; 0: start at --coarsest",
        low=0, high=12, advanced=True,
    )  # fmt: skip
    coarsest: int | None = option(
        None, "approximate long side of the coarsest scale; if omitted, the effort decides",
        unit="px", low=16, high=100_000, advanced=True,
    )  # fmt: skip
    optimizer: Optimizer | None = option(None, "the solver; if omitted, the effort decides", advanced=True)
    rate: float | None = option(
        None, "Adam's step length, for pixel values in 0..1; if omitted, the effort decides",
        low=1e-6, high=1, advanced=True,
    )  # fmt: skip
    space: SolverSpace | None = option(
        None, "variables of the solver: pixels, or the levels of a Laplacian pyramid, which keeps flat areas "
        "calm; if omitted, the effort decides", advanced=True,
    )  # fmt: skip
    detail: float | None = option(
        None, "fraction of the photo's fine detail added at each finer scale; if omitted, the effort decides",
        low=0, high=1, advanced=True, label="Detail of the photo",
    )  # fmt: skip
    contours: float | None = option(
        None, "how strongly each finer scale draws the photo's contours, in the picture's own contrast; if "
        "omitted, the effort decides", low=0, high=2, advanced=True, label="Contours of the photo",
    )  # fmt: skip
    painting_detail: float | None = option(
        None, "amount of the painting's fine detail added at each finer scale, from the places that the "
        "picture resembles; less below strength 0.5, more above; if omitted, the effort decides",
        low=0, high=2, advanced=True, label="Detail of the painting",
    )  # fmt: skip
    coherence: float | None = option(
        None, "how strongly neighbouring places take the painting's detail from neighbouring places, which "
        "keeps strokes whole; if omitted, the effort decides", low=0, high=10, advanced=True,
        label="Whole strokes",
    )  # fmt: skip
    recolor: float | None = option(
        None, "how far the photo's colours become the painting's before it is painted; less below strength "
        "0.5; if omitted, the effort decides", low=0, high=1, advanced=True, label="Recolour the photo",
    )  # fmt: skip
    recipe: int = option(
        RECIPE, "version of the defaults: 1, the first; 2, with a pyramid; 3, with neighbors and the "
        "painting's detail; 4, with recolouring; 5, with coherence; 6, with more of neighbors at the finest "
        "scale; 7, the current one, with contours",
        low=1, high=RECIPE, advanced=True,
    )  # fmt: skip
    formula: Formula = option(
        "balanced", "what the weights multiply; balanced: weights mean the same at any size; paper: the "
        "literal formulas; others: those of other tools (docs/presets.md)", advanced=True,
    )  # fmt: skip
    alpha: float | None = option(
        None, "weight of content; if omitted, strength decides", low=0, advanced=True,
        alias="content_weight", label="Weight of content α",
    )  # fmt: skip
    beta: float | None = option(
        None,
        "weight of style; if omitted, strength decides",
        low=0,
        advanced=True,
        alias="style_weight",
        label="Weight of style β",
    )
    tv: float | None = option(
        None, "weight of smoothness (total variation); if omitted, the effort or the formula decides",
        low=0, advanced=True, alias="tv_weight", label="Smoothness",
    )  # fmt: skip
    gamut: float | None = option(
        None, "penalty on colours out of range; if omitted, 100, or 0 in formulas other than balanced",
        low=0, advanced=True, label="Keep colours in range",
    )  # fmt: skip
    pooling: Pooling = option("max", POOLING_HELP, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        # These calls are for their errors alone: better now than after the weights are loaded.
        find_schedule(self.recipe, self.effort)
        parse_blend(self.blend)
        if self.budget:
            parse_duration(self.budget)
        if NEIGHBORS in self.style_mix and self.formula != "balanced":
            raise SettingsError(
                f"style-loss is {self.style_loss!r} and formula is {self.formula!r}, which has no weight for "
                "neighbors. Use formula balanced, or another style-loss."
            )
        if self.recolor and self.colors != "style":
            raise SettingsError(
                f"recolor is {self.recolor:g} and colors is {self.colors!r}, which keeps the photo's "
                "colours. Leave out one of them."
            )
        if self.match != "none" and self.formula != "balanced":
            raise SettingsError(
                f"match is {self.match!r} and formula is {self.formula!r}, which is another tool's or the "
                "paper's and has no matching. Leave out --match, or use formula balanced."
            )
        if self.match != "none" and self.keep:
            raise SettingsError(
                f"match is {self.match!r} and keep is {self.keep!r}: both divide the photo. Leave out "
                "--match or --keep."
            )
        # quarter turns keep the grid of pixels; a third of a turn would need interpolation
        if self.rotations == 3:
            raise SettingsError("rotations is 3; it must be 1, 2 or 4.")
        if self.content_weight == 0 and not (self.style_weight and any(self.layers.values())):
            raise SettingsError(
                "content and style both have weight 0: there is nothing to paint. Raise one of the weights."
            )

    @classmethod
    def preset(cls, name: str, **changes: object) -> "StylizeSettings":
        """Return the settings of a preset, with changes.

        Args:
            name: one of `PRESETS`.
            changes: values by field, which override the preset's.
        Raises:
            SettingsError: an unknown preset; an effort, because a preset decides the steps by itself.
        """
        if "effort" in changes:
            raise SettingsError(PRESET_AND_EFFORT.format(name=name, effort=changes["effort"]))
        # later entries win: what the user gives overrides the preset
        return cls(**{**preset_values(name), **changes})  # type: ignore[arg-type]

    def resolved(self) -> "StylizeSettings":
        """Return a copy in which the values that effort decides are filled in."""
        values = {name: value for name, value in asdict(self.schedule).items() if name != "tv"}
        return replace(self, **values)

    @property
    def schedule(self) -> Schedule:
        """The solver, its steps and scales: as given, else as the effort decides."""
        default = find_schedule(self.recipe, self.effort)
        if self.formula != "balanced":
            # Other formulas define no weight for neighbors, and paint the photo as it is.
            default = replace(default, style_loss="gram", recolor=0.0)
        if self.colors != "style":
            default = replace(default, recolor=0.0)
        given = {name: getattr(self, name) for name in asdict(default)}
        return replace(default, **{name: value for name, value in given.items() if value is not None})

    @property
    def style_mix(self) -> dict[str, float]:
        """Each statistic's fraction of the style weight; the fractions sum to 1."""
        return self.style_shares()

    def style_shares(self, neighbors: float = 1.0) -> dict[str, float]:
        """Return each statistic's fraction of the style weight; the fractions sum to 1.

        Args:
            neighbors: factor on the weight of neighbors (see `Scale.neighbors`).
        """
        weights = parse_style_loss(self.schedule.style_loss)
        if NEIGHBORS in weights:
            weights[NEIGHBORS] *= NEIGHBORS_WEIGHT * neighbors
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    @property
    def content_aim(self) -> ContentAim | None:
        """How much of the photo's features to give up, from strength.

        None if weights are given, or another formula defines them.
        """
        if not self._strength_decides:
            return None
        weight = self.content_weight * sum(self.content_layers.values())
        return ContentAim.at(self.strength, self.recipe, weight)

    @property
    def painting_detail_share(self) -> float:
        """Amount of the painting's detail that finer scales add; it grows with strength from 0."""
        share = self.schedule.painting_detail
        return (
            share * strength.painting_detail(self.strength, self.recipe) if self._strength_decides else share
        )

    @property
    def recolor_share(self) -> float:
        """How far the photo's colours become the painting's: less below strength 0.5, not at all at 0."""
        if not self.style_weight:
            return 0.0
        share = self.schedule.recolor
        return share * strength.recolor(self.strength, self.recipe) if self._strength_decides else share

    @property
    def noise_share(self) -> float:
        """Fraction of white noise in a start from the photo: 0 up to strength 0.95, 1 at strength 1."""
        return strength.noise_share(self.strength, self.recipe) if self._strength_decides else 0.0

    @property
    def _strength_decides(self) -> bool:
        """Whether strength decides the weights of content and style; else given weights, or a formula, do."""
        # A single given weight is enough: the run must not rebalance it behind the user's back.
        return self.formula == "balanced" and self.alpha is None and self.beta is None

    @property
    def content_weight(self) -> float:
        """The paper's α: as given, else the formula's, adjusted by strength."""
        return strength.content_weight(self.formula, self.strength) if self.alpha is None else self.alpha

    @property
    def style_weight(self) -> float:
        """The paper's β: as given, else the formula's, adjusted by strength."""
        return strength.style_weight(self.formula, self.strength) if self.beta is None else self.beta

    @property
    def variation_weight(self) -> float:
        """Weight of total variation: as given, else the formula's, else the effort's."""
        if self.tv is not None:
            return self.tv
        if self.formula != "balanced":
            return DEFAULT_WEIGHTS[self.formula][2]
        return self.schedule.tv

    @property
    def gamut_weight(self) -> float:
        """Weight of the penalty on colours out of range: as given, else the formula's."""
        return DEFAULT_WEIGHTS[self.formula][3] if self.gamut is None else self.gamut
