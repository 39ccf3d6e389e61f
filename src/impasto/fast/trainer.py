"""Training a network that paints in one pass, against the same objective as everything else here."""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.errors import CheckpointError, DeviceError, SettingsError
from impasto.fast import training_checkpoint
from impasto.fast.models import Model, initialize_from, load
from impasto.fast.training_photos import TrainingPhotos
from impasto.fast.transformer_net import TransformerNet
from impasto.image.read import Source
from impasto.layers import check_size, deepest
from impasto.network.vgg import VGG19, load_vgg19
from impasto.objective.build import content_terms, prior_terms, style_terms
from impasto.objective.evaluate import Evaluation, evaluator
from impasto.objective.objective import Objective
from impasto.objective.style_loss import StyleTerm
from impasto.results.manifest import new
from impasto.settings.blend import BlendShare
from impasto.settings.fast import TrainSettings
from impasto.settings.options import to_json
from impasto.settings.strength import content_weight, style_weight
from impasto.shapes import Image
from impasto.style.style_images import StyleImages, read_styles
from impasto.system.device import compute_for_settings
from impasto.system.distributed import all_sum, data_parallel, rank, single_process, world_size
from impasto.system.memory import memory_errors

WARM_UP = 20
"""Steps in which the rate rises to its height."""


@dataclass(frozen=True)
class TrainProgress:
    """One training step.

    Attributes:
        step, steps: which, from 1, and how many at most.
        loss, by_term: over this process's photos of this step, weighted as the settings say.
        held_out: the mean loss over photos that are not trained on, when last looked at; not a number before.
        seconds, eta: since the run began, and still to go.
        photos, broken: how many there are to train on, and how many of those seen could not be read.
        evaluated: whether photos that are not trained on were looked at after this step.
        finished: whether this is the last step.
        preview: gives the photos that are not trained on above what the painter makes of them, as one image.
        model: gives the best painter so far.
        save: writes all that is needed to go on from here.
    """

    step: int
    steps: int
    loss: float
    by_term: dict[str, float]
    held_out: float
    seconds: float
    eta: float
    photos: int
    broken: int
    evaluated: bool
    finished: bool
    preview: Callable[[], Image]
    model: Callable[[], Model]
    save: Callable[[str | os.PathLike[str]], None]


class Trainer:
    """A run of training and where it stands."""

    def __init__(
        self,
        style: Source | Sequence[Source],
        images: str | os.PathLike[str],
        settings: TrainSettings,
    ) -> None:
        self.settings = settings
        if settings.batch % world_size():
            raise SettingsError(
                f"batch is {settings.batch}, which {world_size()} processes cannot share. "
                f"Use a multiple of {world_size()}."
            )
        self.compute = compute_for_settings(settings)
        paintings = read_styles(style, "")
        self.photos = TrainingPhotos(images, settings.size, seed=settings.seed)
        layers = [*settings.layers, *settings.content_layers]
        last = deepest(layers)
        check_size(settings.size, settings.size, layers, role="square of a photo")
        for painting in paintings.pictures:
            check_size(painting.height, painting.width, layers, role="style image")
        self.network, weights = load_vgg19(
            settings.weights,
            pooling=settings.pooling,
            deepest_layer=last.name,
            compute=self.compute,
        )
        self.manifest = new("train", settings, paintings.inputs, weights, self.compute)
        self.names = tuple(Path(picture.name).stem for picture in paintings.pictures)
        with single_process():
            self.styles = _style_terms(self.network, paintings, settings)
        self.priors = prior_terms((settings.size,) * 2, variation=settings.tv, gamut=0.0)

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.transformer = TransformerNet(settings.width, settings.blocks, len(self.names))
        if settings.start:
            start = load(settings.start)
            self.manifest["start"] = {"name": start.name, "sha256": start.sha256}
            initialize_from(start, self.transformer)
        self.transformer.to(self.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adam = torch.optim.Adam(self.transformer.parameters(), lr=settings.rate)
        self.parallel_network = data_parallel(self.transformer)
        self.step, self.seconds, self.waited = 0, 0.0, 0
        self.best = self._weights()
        self.evaluations: list[list[float]] = []

    def steps(self) -> Iterator[TrainProgress]:
        """Train step by step, until the run has ended."""
        settings, began = self.settings, time.perf_counter() - self.seconds
        first, paused = self.step, self.seconds
        while not self.finished:
            with memory_errors("a training step", "Use a smaller --size or --batch."):
                loss, by_term = self._train_step()
            self.step += 1
            if self.step % settings.check_every == 0 or self.step == settings.steps:
                self._evaluate_held_out()
            self.seconds = time.perf_counter() - began
            pace = (self.seconds - paused) / (self.step - first)
            yield TrainProgress(
                step=self.step,
                steps=settings.steps,
                loss=loss,
                by_term=by_term,
                held_out=self.evaluations[-1][1] if self.evaluations else math.nan,
                seconds=self.seconds,
                eta=0.0 if self.finished else pace * (settings.steps - self.step),
                photos=len(self.photos),
                broken=len(self.photos.broken),
                evaluated=bool(self.evaluations) and self.evaluations[-1][0] == self.step,
                finished=self.finished,
                preview=self.preview,
                model=self.model,
                save=self.save,
            )

    @property
    def finished(self) -> bool:
        """After the last step, or when photos not trained on have not got better for long."""
        patience = self.settings.patience
        return self.step >= self.settings.steps or (patience > 0 and self.waited >= patience)

    def _train_step(self) -> tuple[float, dict[str, float]]:
        """One step of Adam over this process's photos of the batch."""
        batch, device = self.settings.batch, self.compute.device
        numbers = range(self.step * batch + rank(), (self.step + 1) * batch, world_size())
        photos = torch.cat([self.photos.crop(number) for number in numbers]).to(device)
        kinds = [number % len(self.names) for number in numbers]
        for group in self.adam.param_groups:
            group["lr"] = self._rate()
        self.adam.zero_grad(set_to_none=True)
        painted = self._paint(self.parallel_network, photos, kinds)
        evaluations = [
            self._evaluate(painted[i : i + 1], photos[i : i + 1], kind) for i, kind in enumerate(kinds)
        ]
        values = torch.stack([evaluation.values for evaluation in evaluations]).mean(0)
        if not bool(values.isfinite().all()):
            raise DeviceError(
                f"the loss of training step {self.step + 1} is not finite. Use a smaller --rate "
                f"(now {self.settings.rate:g}) or --precision float32, and go on from a checkpoint."
            )
        torch.autograd.backward(
            painted, torch.cat([evaluation.gradient for evaluation in evaluations]) / len(evaluations)
        )
        self.adam.step()
        return float(values.sum()), dict(zip(evaluations[0].names, values.tolist(), strict=True))

    def _paint(self, painter: torch.nn.Module, photos: Image, kinds: Sequence[int]) -> Image:
        shares = torch.eye(len(self.names), device=photos.device)[list(kinds)]
        photos = photos.contiguous(memory_format=torch.channels_last)
        mixed = self.compute.dtype != torch.float32
        with torch.autocast(photos.device.type, dtype=torch.bfloat16, enabled=mixed):
            painted: Tensor = painter(photos, shares)
        return painted.float()

    def _evaluate(self, painted: Image, photo: Image, kind: int) -> Evaluation:
        """Loss and gradient of one painted photo."""
        settings = self.settings
        with single_process(), torch.no_grad():
            contents = content_terms(
                self.network,
                photo,
                settings.content_layers,
                weight=content_weight("balanced", settings.strength),
                formula="balanced",
            )
            objective = Objective((*contents, *self.styles[kind], *self.priors))
            return evaluator(self.network, objective)(painted.detach().contiguous())

    def _rate(self) -> float:
        """Rising for a few steps, then falling along a cosine."""
        settings = self.settings
        along = min(1.0, self.step / settings.steps)
        falling = 0.01 + 0.99 * (1 + math.cos(math.pi * along)) / 2
        return settings.rate * falling * min(1.0, (self.step + 1) / WARM_UP)

    @torch.no_grad()
    def _evaluate_held_out(self) -> None:
        """Judge by the photos kept apart, in every style, and remember the best painter."""
        held_out = self.photos.held_out_crops()
        losses = []
        for index, photo in enumerate(held_out):
            for kind in range(len(self.names)):
                if index % len(self.names) == kind or len(held_out) < len(self.names):
                    photo = photo.to(self.compute.device)
                    painted = self._paint(self.transformer, photo, [kind])
                    losses.append(float(self._evaluate(painted, photo, kind).loss))
        lowest = min((loss for _, loss in self.evaluations), default=math.inf)
        mean = torch.tensor(sum(losses) / len(losses), dtype=torch.float64, device=self.compute.device)
        self.evaluations.append(
            [self.step, float(all_sum(mean)) / world_size()]
        )  # one number for all processes
        if self.evaluations[-1][1] < lowest:
            self.waited, self.best = 0, self._weights()
        else:
            self.waited += 1

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.transformer.state_dict().items()}

    @torch.no_grad()
    def preview(self) -> Image:
        """Photos above paintings, (1, 3, H, W), on the CPU."""
        photos = torch.cat(self.photos.held_out_crops()).to(self.compute.device)
        kinds = [index % len(self.names) for index in range(len(photos))]
        painted = self._paint(self.transformer, photos, kinds)
        return torch.cat([torch.cat(list(rows), dim=2) for rows in (photos, painted)], dim=1)[None].cpu()

    def model(self) -> Model:
        """The best painter so far: judged by photos that are not trained on, if they were looked at."""
        painter = TransformerNet(**self.transformer.shape)
        painter.load_state_dict(self.best if self.evaluations else self._weights())
        result = {
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "held_out": self.evaluations,
            "photos": len(self.photos),
            "broken": sorted(self.photos.broken),
        }
        return Model(painter.requires_grad_(False), self.names, {**self.manifest, "result": result})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write where the run stands; of several processes the first writes."""
        if rank() == 0:
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "waited": self.waited,
                "looks": self.evaluations,
            }
            training_checkpoint.write(path, self.transformer, self.adam, self.best, self._identity(), state)

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: it is none, or of a run with other settings, paintings or photos, or of one that
            had ended.
        """
        self.best, state = training_checkpoint.read(path, self.transformer, self.adam, self._identity())
        self.step, self.seconds, self.waited = state["step"], state["seconds"], state["waited"]
        self.evaluations = state["looks"]
        if self.finished:
            raise CheckpointError(
                f"the training of {path} had ended, after {self.step} steps: there is nothing to go on with. "
                "Its painter is where it was written; to train it further, begin anew with --start PAINTER."
            )

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        free = {"device", "precision", "threads", "weights"}
        settings = {key: value for key, value in to_json(self.settings).items() if key not in free}
        return {
            **settings,
            "paintings": [entry["sha256"] for entry in self.manifest["inputs"].values()],
            "network": self.manifest["weights"]["sha256"],
            "photos": self.photos.digest,
            "start": self.manifest.get("start", {}).get("sha256"),
        }


def _style_terms(
    network: VGG19, paintings: StyleImages, settings: TrainSettings
) -> list[tuple[StyleTerm, ...]]:
    """For each painting, what holds a square to its style."""
    by_painting = []
    for picture in paintings.pictures:
        ((target,),) = StyleImages((picture,), (BlendShare(1.0),)).targets(
            network,
            settings.style_loss,
            settings.layers,
            long=settings.style_size,
            least=deepest(settings.layers).stride,
        )
        by_painting.append(
            style_terms(
                [target],
                settings.layers,
                canvas=(settings.size, settings.size),
                weight=style_weight("balanced", settings.strength),
                formula="balanced",
            )
        )
    return by_painting
