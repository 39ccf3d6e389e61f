"""What every run by descent computes with: a device, and the network on it."""

from impasto.device import Compute, choose, use_threads
from impasto.memory import memory_errors
from impasto.network.fetch import ByteProgress
from impasto.network.vgg import VGG19
from impasto.network.weights import Weights, load
from impasto.recipes.fast_settings import FastSettings, TrainSettings
from impasto.recipes.paper_settings import ReconstructContentSettings, ReconstructStyleSettings
from impasto.recipes.settings import ComputeSettings, StylizeSettings


def compute_for(settings: ComputeSettings) -> Compute:
    """The device and feature type that the settings ask for; sets the number of threads.

    Raises:
        SettingsError, DeviceError: as `choose`.
    """
    use_threads(settings.threads)
    return choose(settings.device, settings.precision)


def network_for(
    settings: StylizeSettings
    | ReconstructContentSettings
    | ReconstructStyleSettings
    | FastSettings
    | TrainSettings,
    deepest_layer: str,
    compute: Compute,
    on_download: ByteProgress | None,
) -> tuple[VGG19, Weights]:
    """The network up to that layer with the settings' pooling, and the weights that it was built from.

    Args:
        on_download: called with bytes done and bytes in all while the weights are fetched.
    Raises:
        WeightsError: none, damaged, or not to be had.
        OutOfMemoryError: the memory does not suffice even for that.
    """
    with memory_errors("the network, which takes half a gigabyte", "Allow this process more memory."):
        weights = load(settings.weights or None, progress=on_download)
        network = VGG19.build(
            weights,
            pooling=settings.pooling,
            deepest_layer=deepest_layer,
            device=compute.device,
            dtype=compute.dtype,
        )
    return network, weights
