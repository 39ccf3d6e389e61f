"""Pictures of layers: the arrangement of a feature sheet, and the entries of a Gram picture."""

import pytest
import torch
from typer.testing import CliRunner

from impasto import FeaturesSettings, features
from impasto.cli.main import app
from impasto.errors import SettingsError
from impasto.image.read import read_picture
from impasto.objective.terms import gram
from impasto.recipes.features import GAP, feature_grid, gram_picture
from small import scene, small_network


def test_a_sheet_holds_every_response_in_its_place() -> None:
    """Four responses with one bright corner each appear enlarged, with a gap between them."""
    responses = torch.zeros(1, 4, 2, 2)
    for index in range(4):
        responses[0, index, index // 2, index % 2] = 1 + index
    sheet = feature_grid(responses)
    assert sheet.shape == (1, 3, 2 * 96 + GAP, 2 * 96 + GAP)
    for index in range(4):
        top, left = (index // 2) * (96 + GAP), (index % 2) * (96 + GAP)
        tile = sheet[0, 0, top : top + 96, left : left + 96]
        cells = tile.reshape(2, 48, 2, 48).amax((1, 3))
        assert torch.equal(cells, responses[0, index] / (1 + index))
        assert torch.equal(tile.reshape(2, 48, 2, 48).amin((1, 3)), cells)


def test_a_response_may_have_more_positions_than_torch_takes_quantiles_of() -> None:
    responses = torch.zeros(1, 1, 4097, 4096)  # 2^24 + 4096
    responses[..., ::100] = 3
    responses[..., 0, 0] = 1000  # too few to count for white
    sheet = feature_grid(responses)
    assert sheet.shape == (1, 3, 4097, 4096)
    assert torch.equal(sheet[:, :1], (responses > 0).float())


def test_the_strongest_channel_comes_first(small_file: str) -> None:
    sheet = features(scene(48, 64), FeaturesSettings(layer="relu2_1", size=64, weights=small_file))
    means = small_network().features(scene(48, 64), ["conv2_1"])["conv2_1"].mean((0, 2, 3))
    assert sheet.layer == "conv2_1"
    assert list(sheet.mean_responses) == sorted(means.tolist(), reverse=True)
    assert torch.equal(means[list(sheet.channels)], torch.tensor(sheet.mean_responses))


def test_channels_can_be_chosen_and_limited(small_file: str) -> None:
    chosen = features(
        scene(48, 64), FeaturesSettings(layer="conv1_1", size=64, channels="4, 1", weights=small_file)
    )
    assert chosen.channels == (4, 1)
    limited = features(scene(48, 64), FeaturesSettings(layer="conv1_1", size=64, most=3, weights=small_file))
    assert len(limited.channels) == 3
    with pytest.raises(SettingsError, match="channel 6 was asked of conv1_1, which has 0 to 5"):
        features(scene(48, 64), FeaturesSettings(layer="conv1_1", size=64, channels="6", weights=small_file))
    with pytest.raises(
        SettingsError, match="channels is '1;2'; it must be whole numbers separated by commas"
    ):
        FeaturesSettings(channels="1;2")


def test_a_gram_picture_shows_correlations() -> None:
    responses = torch.rand(1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    responses[0, 1] = 2 * responses[0, 0]  # the same response, stronger: correlation 1
    responses[0, 2] = 0  # never responds
    picture = gram_picture(responses)
    assert picture.shape == (1, 3, 40, 40)
    entries = picture[0, 0, ::8, ::8]
    torch.testing.assert_close(entries, entries.T)
    torch.testing.assert_close(entries.diagonal(), torch.tensor([1.0, 1, 0, 1, 1]))
    assert float(entries[0, 1]) == pytest.approx(1, abs=1e-5)
    matrix = gram(responses)[0]
    assert float(entries[3, 4]) == pytest.approx(
        float(matrix[3, 4] / (matrix[3, 3] * matrix[4, 4]).sqrt()), rel=1e-5
    )


def test_the_command_writes_feature_and_gram_pictures(photo: str, small_file: str) -> None:
    options = ["--size", "48", "--weights", small_file]
    result = CliRunner().invoke(app, ["features", photo, "--layer", "conv1_2", *options])
    assert result.exit_code == 0, result.output
    assert "responses, row by row: " in result.stderr
    assert read_picture("photo-conv1_2-features.png").width > 96
    result = CliRunner().invoke(app, ["features", photo, "--layer", "conv1_2", "--gram", *options])
    assert result.exit_code == 0, result.output
    assert read_picture("photo-conv1_2-gram.png").width == 6 * 8
