"""Finding a mask: a photo's subject, or its light and dark."""

from impasto.choices import MaskKind
from impasto.errors import ImageError
from impasto.image.picture import Picture
from impasto.image.read import Source, read_picture
from impasto.masks.automatic import automatic_mask
from impasto.settings.mask import MaskSettings


def mask(photo: Source, kind: MaskKind = "subject") -> Picture:
    """Find a mask of a photo: white where its subject is, or where it is light; with soft borders.

    Args:
        photo: a file, a `PIL.Image`, a NumPy array or a tensor (see `read_picture`).
        kind: "subject", found by U²-Net; or "luminance", light and dark by Otsu's threshold.
    Returns:
        A grey picture of the photo's size, for `write_picture` or `regions`.
    Raises:
        SettingsError: another kind; onnxruntime is not installed.
        ImageError: no picture; no subject in it, or nothing beside it; no light and dark.
        WeightsError: the network cannot be fetched.
    Example:
        >>> impasto.write_picture(impasto.mask("photo.jpg"), "mask.png")  # doctest: +SKIP
    """
    kind = MaskSettings(kind=kind).kind
    picture = read_picture(photo, role="photo")
    if len(picture.pixels) != 1:
        raise ImageError(f"{picture.name} holds {len(picture.pixels)} pictures; pass them one at a time.")
    soft_mask = automatic_mask(picture, kind).mask
    return Picture(soft_mask.expand(-1, 3, -1, -1).contiguous(), name="mask")
