"""Effort sets scales, steps, solver and space; manifests of earlier versions keep their meaning."""

from dataclasses import asdict, replace
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from impasto import SettingsError, StylizeSettings
from impasto.cli.main import app
from impasto.objective.neighbors import NeighborTerm
from impasto.objective.style_loss import StyleTerm
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run.scales import FINEST_LEVELS, LEVELS
from impasto.settings.effort import RECIPES, Schedule
from impasto.settings.options import from_json
from impasto.settings.presets import PRESETS
from impasto.solve.descent import Solver
from old_files import DATA

OLD = Schedule("pixels", "lbfgs", 0.02, 128, 50, 10, 1.0, 2.0)
"""What version 0.1 did by default."""


def work(schedule: Schedule) -> float:
    """Steps at the finest scale, plus those at the coarsest, which cost 1/64 (an eighth of the side)."""
    return schedule.steps / 64 + schedule.finest_steps


def test_more_effort_is_more_work() -> None:
    draft, good, best = (StylizeSettings(effort=effort).schedule for effort in ("draft", "good", "best"))
    assert work(draft) < work(good) < work(best)
    assert StylizeSettings().schedule == good


def test_explicit_settings_override_effort() -> None:
    explicit = {"space": "pixels", "optimizer": "lbfgs", "rate": 0.1, "coarsest": 96, "steps": 7}
    explicit |= {"finest_steps": 3, "detail": 0.1, "tv": 5.0, "painting_detail": 0.5}
    explicit |= {"style_loss": "gram=1,neighbors=2", "recolor": 0.7, "coherence": 0.2, "contours": 0.4}
    for effort in ("draft", "good", "best"):
        settings = StylizeSettings(effort=effort, **explicit)  # type: ignore[arg-type]
        assert asdict(settings.schedule) == explicit
        assert settings.variation_weight == 5.0


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_with_an_effort_is_an_error_that_names_both(name: str) -> None:
    with pytest.raises(SettingsError, match=f"preset {name} and effort best"):
        StylizeSettings.preset(name, effort="best")
    result = CliRunner().invoke(app, ["stylize", "a.png", "b.png", "--preset", name, "--effort", "best"])
    assert result.exit_code == 2
    assert f"preset {name} and effort best" in " ".join(result.output.split())
    assert StylizeSettings.preset(name).schedule.space == "pixels"


def test_a_manifest_holds_the_numbers_that_effort_gave(photo: str, painting: str, small_file: str) -> None:
    settings = StylizeSettings(effort="best", size=96, weights=small_file, finest_steps=4)
    plan = plan_stylize(photo, painting, settings)
    expected = replace(RECIPES[7]["best"], finest_steps=4)
    recorded = plan.manifest["settings"]
    assert {key: recorded[key] for key in asdict(expected) if key != "tv"} == {
        key: value for key, value in asdict(expected).items() if key != "tv"
    }
    assert from_json(StylizeSettings, recorded).schedule == expected
    assert [scale.level_steps for scale in plan.scales] == [LEVELS] * len(plan.scales)
    assert [scale.chroma_steps for scale in plan.scales] == [(0.25, 0.5)] * len(plan.scales)
    older = plan_stylize(photo, painting, replace(settings, recipe=5))
    assert [scale.chroma_steps for scale in older.scales] == [()] * len(plan.scales)
    by_adam = plan_stylize(photo, painting, replace(settings, optimizer="adam"))
    assert by_adam.scales[-1].level_steps == FINEST_LEVELS
    assert (plan.solver.optimizer, by_adam.solver.optimizer) == ("lbfgs", "adam")


def test_a_manifest_of_version_0_1_keeps_its_meaning(photo: str, painting: str, small_file: str) -> None:
    """Commit e78b87f wrote it for a run in pixels by L-BFGS, with all of the photo's detail."""
    settings = from_json(StylizeSettings, manifests.read(DATA / "e78b87f-painting.png")["settings"])
    assert settings.recipe == 1
    assert settings.schedule == replace(OLD, steps=6)
    assert settings.variation_weight == 2.0
    assert settings.content_aim.error == pytest.approx(0.5)
    plan = plan_stylize(photo, painting, replace(settings, weights=small_file, size=300))
    assert [(max(s.height, s.width), s.steps, s.level_steps) for s in plan.scales] == [
        (150, 6, ()),
        (300, 10, ()),
    ]
    assert plan.solver == Solver("lbfgs", rate=0.02, tolerance=settings.tolerance)


def test_a_manifest_of_the_second_recipe_keeps_its_meaning() -> None:
    """It holds its own numbers and lacks the fields that were added later."""
    numbers = {"space": "pyramid", "optimizer": "lbfgs", "steps": 100, "finest_steps": 40, "detail": 0.3}
    settings = from_json(StylizeSettings, {"recipe": 2, "style_loss": "gram", **numbers})
    assert settings.schedule == RECIPES[2]["good"]
    assert settings.painting_detail_share == 0
    assert settings.content_aim.error == pytest.approx(0.6)
    assert StylizeSettings().painting_detail_share == 0.8
    assert StylizeSettings(strength=0.2).painting_detail_share == pytest.approx(0.8 * 0.64)
    assert StylizeSettings(strength=0.2, alpha=1.0).painting_detail_share == 0.8


def test_a_manifest_of_the_sixth_recipe_draws_no_contours() -> None:
    """They came with recipe 7."""
    settings = from_json(StylizeSettings, {"recipe": 6, "detail": 0.3})
    assert (settings.schedule.detail, settings.schedule.contours) == (0.3, 0.0)
    assert StylizeSettings().schedule.contours == 0.6
    assert StylizeSettings(recipe=6).schedule == replace(RECIPES[7]["good"], contours=0.0)


def test_the_first_recipe_has_no_other_effort() -> None:
    assert StylizeSettings(recipe=1).schedule == OLD
    with pytest.raises(SettingsError, match="recipe 1 has no effort 'best', only good"):
        StylizeSettings(recipe=1, effort="best")


def test_strength_in_older_recipes_means_what_it_meant() -> None:
    for strength, noise in ((0.9, 0.0), (0.95, 0.5**0.5), (1.0, 1.0)):
        settings = StylizeSettings(recipe=3, strength=strength)
        assert settings.noise_share == pytest.approx(noise, abs=1e-7)
        assert settings.painting_detail_share == 0.8
    for recipe in (3, 4):
        settings = StylizeSettings(recipe=recipe, strength=0.2)
        assert settings.painting_detail_share == 0.8 * 0.4
        assert settings.recolor_share == (0.4 if recipe == 4 else 0)
        assert settings.schedule.coherence == 0


def test_more_strength_takes_more_of_the_painting() -> None:
    """Also above 0.5, and up to 0.95 without noise, which is not the painting's."""
    several = [StylizeSettings(strength=step / 20) for step in range(21)]
    details = [settings.painting_detail_share for settings in several]
    assert all(low < high for low, high in pairwise(details))
    assert [settings.noise_share for settings in several] == [*[0.0] * 20, 1.0]


def test_neighbors_weigh_more_at_the_finest_of_several_scales(
    photo: str, painting: str, small_file: str
) -> None:
    def factors(**options: object) -> list[float]:
        settings = StylizeSettings(weights=small_file, **options)  # type: ignore[arg-type]
        return [scale.neighbors for scale in plan_stylize(photo, painting, settings).scales]

    assert factors(size=512) == [1, 1, 8]
    assert factors(size=512, effort="draft") == [1, 8, 1]
    assert factors(size=300, effort="draft") == [1, 1]  # one is solved, the other enlarged
    assert factors(size=512, recipe=5) == [1, 1, 1]
    assert factors(size=512, scales=1) == [1]
    # a preview paints the whole run's first scales, of which none is its finest
    assert factors(size=1024, preview=True) == [1, 1]


def test_style_shares_sum_to_one_and_obey_the_factor() -> None:
    settings = StylizeSettings()
    once, eight = settings.style_shares(), settings.style_shares(8)
    assert once == settings.style_mix
    for shares in (once, eight):
        assert sum(shares.values()) == pytest.approx(1)
    assert eight["neighbors"] / eight["gram"] == pytest.approx(8 * once["neighbors"] / once["gram"])
    assert StylizeSettings(style_loss="gram").style_shares(8) == {"gram": 1.0}


def test_the_objective_weighs_neighbors_by_the_factor_of_its_scale(
    photo: str, painting: str, small_file: str
) -> None:
    def neighbors_to_gram(recipe: int) -> list[float]:
        plan = plan_stylize(
            photo, painting, StylizeSettings(weights=small_file, size=256, strength=0.65, recipe=recipe)
        )
        ratios = []
        for stage in plan.stages:
            terms = plan.problem.objective(stage.scale, stage.layout).terms
            neighbors, gram = (
                sum(term.weight for term in terms if isinstance(term, kind))
                for kind in (NeighborTerm, StyleTerm)
            )
            ratios.append(neighbors / gram)
        return ratios

    before, now = neighbors_to_gram(5), neighbors_to_gram(6)
    assert now == pytest.approx([before[0], 8 * before[1]])
