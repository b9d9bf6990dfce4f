"""The sources of a builder's `weights`: files and names of this library, timm, the Hugging Face Hub, URLs."""

import hashlib
import logging
import os
import pathlib
import re
import urllib.parse

import keras

from aa_keras.files import checksum

from .. import pretrained
from ..blocks import dtype_policy
from ..converters import convert, is_checkpoint, read_checkpoint
from ..converters.timm_hub import check_architecture, config_of_file, download, info_of_file, info_of_name
from .folders import save_folder
from .info import CARD, INFO, MODEL, Weights, read_folder

_LOGGER = logging.getLogger("aa_keras")
# The start of the name of a repository on the Hugging Face Hub.
HUB = "hf://"
# A part of the names of conversions in the cache, to be raised if conversions become others.
_CONVERSION = "2"


def find(builder, weights, argument="weights", rules=None, build=None, is_exact=True) -> Weights | None:
    """Finds the weights that a builder's argument names.

    Args:
        builder: name of the builder.
        weights: its argument.
        argument: the name of the argument.
        rules: `TimmRules` of the family, or None.
        build: function of the name of a builder and of arguments of its family that builds a network.
        is_exact: whether a network must have all weights of a file that is named by its path.

    Returns:
        The `Weights`, or None for None.

    Raises:
        ValueError: if there are no such weights, or they cannot be downloaded or converted.
    """
    if weights is None or isinstance(weights, Weights):  # found already
        return weights
    is_text = isinstance(weights, str)
    if is_text and weights.startswith("timm/"):
        check_architecture(builder, weights, argument)
        return _converted_from_timm(weights, argument, rules, build)
    if is_text and weights.startswith(HUB):
        return _from_hub(weights, argument)
    if is_text and re.match(r"(https?|file)://", weights):
        return _from_url(weights, argument)
    if isinstance(weights, (str, os.PathLike)) and os.path.isfile(os.path.join(weights, INFO)):
        return _folder(weights, argument)
    entry = pretrained.find(builder, weights, argument)
    if entry is not None:
        return Weights(entry.path())
    if is_checkpoint(weights):
        return _converted_from_file(pathlib.Path(weights), argument, rules, build)
    return Weights(weights, is_exact=is_exact)


def _cache(*parts):
    """Returns a folder in Keras's cache."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return pathlib.Path(home).expanduser().joinpath("models", "aa_keras", *parts)


def _cached(folder):
    """Returns the result of an earlier conversion in a folder of the cache, or None."""
    if not (folder / INFO).is_file():
        return None
    try:
        return read_folder(folder)
    except ValueError as error:
        _LOGGER.warning("%s; it is converted again", error)
        return None


def _converted_from_timm(weights, argument, rules, build):
    name = weights.removeprefix("timm/")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"`{argument}` must name weights of timm, such as 'timm/resnet50.a1h_in1k'. "
            f"Received: {argument}={weights!r}"
        )
    _require_rules(rules, argument, weights)
    files = download(weights, ("config.json", "model.safetensors", "README.md"), argument)
    checkpoint = files["model.safetensors"]
    folder = _cache("timm", f"{name}-{_key(checkpoint.parent.name)}")  # its folder has the name of the commit
    return _cached(folder) or _convert(checkpoint, info_of_name(weights, files), folder, rules, build, weights)


def _converted_from_file(path, argument, rules, build):
    _require_rules(rules, argument, path)
    config = config_of_file(path)
    settings = config.read_bytes() if config.is_file() else b""
    key = _key(checksum(path), os.path.realpath(path), hashlib.sha256(settings).hexdigest())
    folder = _cache("converted", f"{path.stem}-{key}")
    return _cached(folder) or _convert(path, info_of_file(path), folder, rules, build, path)


def _key(*parts):
    """Returns a name in the cache for all that a conversion depends on."""
    return hashlib.sha256("\n".join((_CONVERSION, *parts)).encode(errors="surrogateescape")).hexdigest()[:16]


def _require_rules(rules, argument, weights):
    if rules is None:
        raise ValueError(
            f"`{argument}` can be weights of timm for ResNets and BoTNets alone. "
            f"Received: {argument}={os.fspath(weights)!r}"
        )


def _convert(path, info, folder, rules, build, source):
    """Converts a checkpoint into a folder of the cache."""
    state, which = read_checkpoint(path)
    with dtype_policy("float32"):
        builder, model = convert(state, rules, build, source)
    of = f"{builder} ({which})" if which else builder
    _LOGGER.warning("%s: converted %d tensors of %s into %s", source, len(state), of, folder)
    return save_folder(model, info(builder, arguments=model.architecture.arguments), folder)


def _from_hub(weights, argument):
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", weights)
    if match is None:
        raise ValueError(
            f"`{argument}` must be 'hf://USER/REPOSITORY', or 'hf://USER/REPOSITORY@REVISION' with a branch, tag or "
            f"commit. Received: {argument}={weights!r}"
        )
    files = download(match[1], (INFO, MODEL, CARD), argument, match[2])
    return _folder(files[MODEL].parent, argument)


def _from_url(weights, argument):
    """Returns the weights in a Keras file that is downloaded from a URL with its checksum."""
    url, _, fragment = weights.partition("#")
    match = re.fullmatch(r"sha256=([0-9a-f]{64})", fragment)
    name = os.path.basename(urllib.parse.urlparse(url).path)
    if match is None or not name.endswith((".keras", ".h5")):
        raise ValueError(
            f"`{argument}` must be the URL of a file .keras or .weights.h5 with its checksum, "
            f"'https://HOST/NAME.keras#sha256=...' of 64 digits. Received: {argument}={weights!r}"
        )
    try:
        path = keras.utils.get_file(
            f"{match[1][:16]}-{name}", url, cache_subdir="models/aa_keras/urls", file_hash=match[1]
        )
    except Exception as error:  # Keras also raises plain ones without a network
        raise ValueError(
            f"`{argument}` could not be downloaded: {' '.join(str(error).split())[:200]}. Received: {argument}={url!r}"
        ) from None
    return Weights(path, is_exact=True)


def _folder(folder, argument):
    try:
        return read_folder(folder)
    except ValueError as error:
        raise ValueError(
            f"`{argument}` must be a folder that `aa_keras.save_pretrained` wrote. "
            f"Received: {argument}={os.fspath(folder)!r} ({error})"
        ) from None
