"""timm's checkpoints on the Hugging Face Hub: their download and their metadata."""

import csv
import functools
import importlib.resources
import json
import logging
import pathlib
import re

from aa_keras.errors import described, importing_extra
from aa_keras.files import read_text

from ..weights.info import WeightsInfo

_LOGGER = logging.getLogger("aa_keras")

RESULTS = "timm_results.txt"
# timm's names of the builders' networks, the first part of the names of its weights.
ARCHITECTURES = {
    **{f"ResNet{depth}": f"resnet{depth}" for depth in (34, 50, 101, 152)},
    "SEResNet50": "seresnet50",
    "BoTNet26t": "botnet26t_256",
    "ECABoTNeXt26ts": "eca_botnext26ts_256",
    "SEBoTNet33ts": "sebotnet33ts_256",
}
# timm's own defaults, for checkpoints without these settings.
_DEFAULTS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "crop_pct": 0.875, "interpolation": "bicubic"}


def download(repository, names, argument, revision=None):
    """Downloads files of a repository of the Hugging Face Hub into the hub's own cache.

    The hub is asked each time for the newest commit. Where it cannot be reached, files of an earlier download are
    used, and a log line says so.

    Args:
        repository: its name, such as "timm/resnet50.a1h_in1k".
        names: names of the files.
        argument: name of the argument that names them, for errors.
        revision: branch, tag or commit; None for the main branch.

    Returns:
        A dictionary from the names to paths, in a folder with the name of the commit.

    Raises:
        ValueError: if there is no such repository, revision or file, or no network.
        ImportError: without the package huggingface_hub.
    """
    with importing_extra():
        import huggingface_hub

    def files(**arguments):
        paths = (huggingface_hub.hf_hub_download(repository, name, revision=revision, **arguments) for name in names)
        return dict(zip(names, map(pathlib.Path, paths), strict=True))

    try:
        # This fails at once, instead of after half a minute.
        huggingface_hub.HfApi().model_info(repository, revision=revision, timeout=10)
        return files()
    except Exception as error:  # errors of many kinds: of HTTP, of the system, of the hub
        reason = described(error)
    try:
        found = files(local_files_only=True)
    except Exception:
        at = "" if revision is None else f"@{revision}"
        raise ValueError(
            f"`{argument}` could not be downloaded from huggingface.co: {reason}. Is there a "
            f"network, and such a repository? Received: {argument}={repository + at!r}"
        ) from None
    _LOGGER.warning("%s: an earlier download is used, since huggingface.co could not be asked: %s", repository, reason)
    return found


def info_of_name(weights, files):
    """Returns a function of a builder's name that makes the `WeightsInfo` of a checkpoint by timm's name.

    Args:
        weights: its name, such as "timm/resnet50.a1h_in1k".
        files: dictionary from the names of its files to paths: of its configuration and its model card.
    """
    licence = re.search(r"^license:\s*(\S+)", read_text(files["README.md"]), re.MULTILINE)
    result = results().get(weights.removeprefix("timm/"))
    return functools.partial(
        WeightsInfo,
        source=weights,
        licence=licence[1] if licence else "",
        scores={} if result is None else {name: float(result[name]) for name in ("top1", "top5")},
        reported=""
        if result is None
        else f"timm, on ImageNet's validation images at {result['img_size']}x{result['img_size']}, central fraction "
        f"{result['crop_pct']}",
        **_statistics(files["config.json"]),
    )


def info_of_file(path):
    """Returns the same for a file, with the `config.json` of timm next to it, or timm's defaults."""
    return functools.partial(WeightsInfo, source=str(path), **_statistics(config_of_file(path)))


def config_of_file(path):
    """Returns the path of timm's configuration of a checkpoint, which need not exist."""
    return pathlib.Path(path).with_name("config.json")


def _statistics(config):
    """Returns the fields of `WeightsInfo` that timm's configuration of a checkpoint has."""
    try:
        content = json.loads(read_text(config)) if config.is_file() else {}
        settings = {**_DEFAULTS, **content.get("pretrained_cfg", content)}
        return {
            "mean": tuple(255 * float(value) for value in settings["mean"]),
            "std": tuple(255 * float(value) for value in settings["std"]),
            "central_fraction": settings["crop_pct"],
            "interpolation": settings["interpolation"],
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{config} is not a configuration of timm: {error}") from None


def check_architecture(builder, weights, argument):
    """Raises ValueError if the name of timm's weights is that of another network than the builder's."""
    known = ARCHITECTURES.get(builder.removeprefix("AA"))
    named = weights.removeprefix("timm/").split(".")[0]
    if known is not None and named in ARCHITECTURES.values() and named != known:
        raise ValueError(
            f"`{argument}` of {builder} must be weights of timm's {known}. Received: {argument}={weights!r}"
        )


@functools.cache
def results():
    """Returns the rows of timm's results on ImageNet for the networks of this library, by the weights' names."""
    file = importlib.resources.files("aa_keras.applications") / "converters" / RESULTS
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {row["model"]: row for row in csv.DictReader(lines)}
