"""Training a network that paints in one pass, with the same objective as the exact method."""

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
"""Steps in which the learning rate rises to its peak."""


@dataclass(frozen=True)
class TrainProgress:
    """One training step.

    Attributes:
        step, steps: its number, from 1, and the maximum.
        loss, by_term: the weighted loss over this process's photos in this step, in all and by term.
        held_out: the mean loss over held-out photos at their last evaluation; NaN before the first.
        seconds, eta: seconds since the run began, and an estimate of those that remain.
        photos, broken: the number of photos to train on, and of those that could not be read so far.
        evaluated: whether the held-out photos were evaluated after this step.
        finished: whether this is the last step.
        preview: returns an image of the held-out photos above the network's paintings of them.
        model: returns the best network so far.
        save: writes a checkpoint to the path given.
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
    """A training run and its state.

    Args:
        style: one or several paintings; the network learns a style from each.
        images: a folder of photos, with the folders in it.
        settings: how to train.
    Raises:
        SettingsError: the settings do not fit together, or the batch cannot be divided among the processes.
        ImageError: a painting or the folder of photos cannot be used.
        WeightsError, DeviceError: the weights or the device cannot be used.
    """

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
        # The network ends in a sigmoid, so no colour is out of range.
        self.priors = prior_terms((settings.size,) * 2, variation=settings.tv, gamut=0.0)

        # The seed sets the initial weights without touching the caller's random state.
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
        """Train step by step until the run ends.

        Raises:
            DeviceError: a loss is not finite.
            OutOfMemoryError: a step needs too much memory.
        """
        settings, began = self.settings, time.perf_counter() - self.seconds
        # Only these steps count for the pace: the machine may be another than before the pause.
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
        """Whether the last step is done, or the held-out loss has not improved for `patience` evaluations."""
        patience = self.settings.patience
        return self.step >= self.settings.steps or (patience > 0 and self.waited >= patience)

    def _train_step(self) -> tuple[float, dict[str, float]]:
        """Take one step of Adam over this process's photos of the batch."""
        batch, device = self.settings.batch, self.compute.device
        # Photos are numbered over the whole run. Each process takes every world_size-th of the batch.
        numbers = range(self.step * batch + rank(), (self.step + 1) * batch, world_size())
        photos = torch.cat([self.photos.crop(number) for number in numbers]).to(device)
        kinds = [number % len(self.names) for number in numbers]  # the styles take turns
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
        # The objective's gradient is computed by hand; autograd continues from it through the model.
        torch.autograd.backward(
            painted, torch.cat([evaluation.gradient for evaluation in evaluations]) / len(evaluations)
        )
        self.adam.step()
        return float(values.sum()), dict(zip(evaluations[0].names, values.tolist(), strict=True))

    def _paint(self, network: torch.nn.Module, photos: Image, kinds: Sequence[int]) -> Image:
        """Paint each photo in the style of its kind, (B, 3, size, size), float32."""
        shares = torch.eye(len(self.names), device=photos.device)[list(kinds)]  # (B, S), one 1 in each row
        photos = photos.contiguous(memory_format=torch.channels_last)
        mixed = self.compute.dtype != torch.float32
        with torch.autocast(photos.device.type, dtype=torch.bfloat16, enabled=mixed):
            painted: Tensor = network(photos, shares)
        return painted.float()

    def _evaluate(self, painted: Image, photo: Image, kind: int) -> Evaluation:
        """Return the loss of one painted photo, and its gradient with respect to the painted pixels."""
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
        """Return the learning rate, which rises over `WARM_UP` steps and then falls along a cosine."""
        settings = self.settings
        along = min(1.0, self.step / settings.steps)
        falling = 0.01 + 0.99 * (1 + math.cos(math.pi * along)) / 2
        return settings.rate * falling * min(1.0, (self.step + 1) / WARM_UP)

    @torch.no_grad()
    def _evaluate_held_out(self) -> None:
        """Evaluate the held-out photos, and keep the network if it is the best so far.

        The styles take turns. If there are fewer photos than styles, each photo is painted in all of them.
        """
        held_out, styles = self.photos.held_out_crops(), len(self.names)
        losses = []
        for index, photo in enumerate(held_out):
            photo = photo.to(self.compute.device)
            for kind in range(styles) if len(held_out) < styles else [index % styles]:
                painted = self._paint(self.transformer, photo, [kind])
                losses.append(float(self._evaluate(painted, photo, kind).loss))
        lowest = min((loss for _, loss in self.evaluations), default=math.inf)
        mean = torch.tensor(sum(losses) / len(losses), dtype=torch.float64, device=self.compute.device)
        # The mean over processes, so that all of them agree on which network is best.
        self.evaluations.append([self.step, float(all_sum(mean)) / world_size()])
        if self.evaluations[-1][1] < lowest:
            self.waited, self.best = 0, self._weights()
        else:
            self.waited += 1

    def _weights(self) -> dict[str, Tensor]:
        """Return a copy of the network's weights."""
        return {name: tensor.detach().clone() for name, tensor in self.transformer.state_dict().items()}

    @torch.no_grad()
    def preview(self) -> Image:
        """Return the held-out photos above their paintings, (1, 3, H, W), on the CPU."""
        photos = torch.cat(self.photos.held_out_crops()).to(self.compute.device)
        kinds = [index % len(self.names) for index in range(len(photos))]
        painted = self._paint(self.transformer, photos, kinds)
        return torch.cat([torch.cat(list(rows), dim=2) for rows in (photos, painted)], dim=1)[None].cpu()

    def model(self) -> Model:
        """Return the network with the lowest held-out loss; before the first evaluation, the current one."""
        network = TransformerNet(**self.transformer.shape)
        network.load_state_dict(self.best if self.evaluations else self._weights())
        result = {
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "held_out": self.evaluations,
            "photos": len(self.photos),
            "broken": sorted(self.photos.broken),
        }
        return Model(network.requires_grad_(False), self.names, {**self.manifest, "result": result})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint; of several processes, the first writes.

        Raises:
            CheckpointError: the file cannot be written.
        """
        if rank() == 0:
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "waited": self.waited,
                "looks": self.evaluations,
            }
            training_checkpoint.write(path, self.transformer, self.adam, self.best, self._identity(), state)

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: the file is not a checkpoint, or belongs to a run that has ended or has other
                settings, paintings or photos.
        """
        self.best, state = training_checkpoint.read(path, self.transformer, self.adam, self._identity())
        self.step, self.seconds, self.waited = state["step"], state["seconds"], state["waited"]
        self.evaluations = state["looks"]
        if self.finished:
            raise CheckpointError(
                f"the training of {path} had ended, after {self.step} steps: there is nothing to go on with. "
                "Its model is where it was written; to train it further, begin anew with --start MODEL."
            )

    def _identity(self) -> dict[str, Any]:
        """Return the facts that must be equal for a run to continue."""
        free = {"device", "precision", "threads", "weights"}  # the weights are compared by their digest
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
    """Build the style terms of each painting for crops of the training size."""
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
