"""The attention scores of a network's layers for images."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from aa_keras._keras_compat import child_layers
from aa_keras.errors import is_integer
from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D
from aa_keras.layers._observation import observed

# The most bytes of probabilities that are computed at a time.
BLOCK_BYTES = 2**24


class AttentionScores(dict):
    """A dictionary from the name of a layer, in the order in which they run, to an array of its attention.

    The arrays are float32 and have the shape (batch, heads, query height, query width, key height, key width); the
    last two axes sum to 1.

    Attributes:
        image_size: (height, width) of the images in pixels.
        queries: the largest number of queries along each axis, or None for all; `query_positions` returns their
            positions.
    """

    def __init__(self, scores: dict, image_size: tuple[int, int], queries: int | None = None):
        super().__init__(scores)
        self.image_size = image_size
        self.queries = queries


def attention_layers(model: keras.Layer) -> dict[str, SelfAttention2D]:
    """Returns the attention layers of a model by name, in the order in which the model holds them.

    The attention of an `AttentionAugmentedConv2D` has the convolution's name. Names of layers in nested models or
    layers start with the name of these and a slash: "backbone/stage2_block1_conv2".

    Args:
        model: Keras model, or layer.
    """
    found: dict[str, SelfAttention2D] = {}
    seen = set()

    def visit(layer, name, prefix):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        attention = layer.self_attention if isinstance(layer, AttentionAugmentedConv2D) and layer.built else layer
        if isinstance(attention, SelfAttention2D):
            found[_numbered(name, found)] = attention
            return
        for child in child_layers(layer):
            visit(child, prefix + child.name, f"{prefix}{child.name}/")

    visit(model, model.name, "")
    return found


def attention_scores(
    model: keras.Layer, images: Any, layers: Iterable[str] | None = None, queries: int | None = None
) -> AttentionScores:
    """Returns how much each pixel of the maps in a network attends to each other one, by layer and head.

    A layer with strides or `attention_pooling` attends within a map that is smaller than its input: its scores have the
    size of that map. A layer that is called several times has "#2" and so on after its name from the second call on.
    The model is called once, in inference mode, and is not changed.

    Args:
        model: Keras model with `AttentionAugmentedConv2D` or `SelfAttention2D` layers at any depth, or such a layer.
        images: input of the model: array (batch, height, width, channels), preprocessed.
        layers: names of layers, of those that `attention_layers` returns; None for all.
        queries: the largest number of queries along each axis: of larger maps, only every second (or third, ...) row
            and column of queries is returned. None for all. A map of 64x64 with 8 heads has scores of 512 MiB for each
            image; queries are computed in blocks of at most 16 MiB.

    Returns:
        An `AttentionScores`: dictionary from names of layers to arrays of shape (batch, heads, query height, query
        width, key height, key width).

    Raises:
        ValueError: if the model has no attention, no layer of a given name, or does not take such images.

    Example:

    >>> model = aa_keras.applications.AAResNet50(weights=None)
    >>> scores = attention_scores(model, keras.random.normal((1, 224, 224, 3)))
    >>> scores["stage3_block1_conv2"].shape
    (1, 8, 14, 14, 14, 14)
    """
    if queries is not None and (not is_integer(queries) or queries < 1):
        raise ValueError(f"`queries` must be a positive integer or None. Received: queries={queries!r}")

    def grid(height, width):
        rows, columns = query_positions(height, queries), query_positions(width, queries)
        return (rows[:, None] * width + columns).ravel(), (len(rows), len(columns))

    image_size, scores = _observe(model, images, layers, lambda size: grid(*size))
    return AttentionScores(scores, image_size, queries)


def attention_map_sizes(model: keras.Layer, images: Any) -> dict[str, tuple[int, int]]:
    """Returns the (height, width) of the map that each attention layer attends within.

    Args:
        model: Keras model, as for `attention_scores`; one without attention has no such maps.
        images: input of the model, as for `attention_scores`.

    Returns:
        A dictionary from the names of layers, in the order in which they run.
    """
    if not attention_layers(model):
        return {}
    return {name: array.shape[-2:] for name, array in attention_at(model, images, [(0, 0)]).items()}


def deepest_of_largest(sizes: dict[str, tuple[int, int]]) -> str:
    """Returns the deepest of the layers with the largest maps, from what `attention_map_sizes` returns."""
    largest = max(height * width for height, width in sizes.values())
    return [name for name, (height, width) in sizes.items() if height * width == largest][-1]


def attention_at(
    model: keras.Layer, images: Any, pixels: Sequence[tuple[int, int]], layers: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """Returns the attention of the queries that some pixels of the image belong to.

    Args:
        model: as for `attention_scores`.
        images: likewise.
        pixels: pairs (y, x), pixels of the images.
        layers: names of layers, or None for all.

    Returns:
        A dictionary from names of layers to arrays of shape (batch, heads, pixels, key height, key width).

    Raises:
        ValueError: as for `attention_scores`, and for a pixel outside the images.
    """
    height, width = _size_of(images)
    if not len(pixels):
        raise ValueError(f"`pixels` must be pairs (y, x), at least one. Received: pixels={pixels}")
    for y, x in pixels:
        if not (0 <= y < height and 0 <= x < width):
            raise ValueError(
                f"`pixels` must be in the image, from (0, 0) to ({height - 1}, {width - 1}). Received: ({y}, {x})"
            )

    def chosen(size):
        rows, columns = (np.array(each) for each in zip(*pixels, strict=True))
        return rows * size[0] // height * size[1] + columns * size[1] // width, (len(pixels),)

    return _observe(model, images, layers, chosen)[1]


def query_positions(length: int, most: int | None) -> np.ndarray:
    """Returns the rows or columns of a map of `length` that have queries, if there may be at most `most`.

    The map is cut into strips of equal length, the last of which may be shorter, and the middle of each is used.
    """
    strip = query_strip(length, most)
    return np.minimum(np.arange(0, length, strip) + strip // 2, length - 1)


def query_strip(length: int, most: int | None) -> int:
    """Returns the length of the strips that `query_positions` takes the middle of."""
    return 1 if most is None else -(-length // most)


def _observe(model: keras.Layer, images: Any, layers: Iterable[str] | None, choose: Callable) -> tuple:
    """Calls a model, and returns the size of the images and a dictionary of the attention of chosen queries.

    Args:
        model: Keras model or layer.
        images: its input.
        layers: names of layers, or None for all.
        choose: function of the (height, width) of a map that returns the numbers of queries, and their shape.
    """
    if not model.built:
        raise ValueError(f"`model` must be built: {model.name!r} has not been called yet")
    known = attention_layers(model)
    if not known:
        raise ValueError(f"`model` must have attention layers, and {model.name!r} has none")
    wanted = None if layers is None else _known_names(layers, known)
    names = {id(layer): name for name, layer in known.items()}
    size = _size_of(images)
    _check_images(model, images)
    scores: dict[str, np.ndarray] = {}
    calls: dict[str, int] = {}

    def observer(layer, inputs):
        name = names.get(id(layer))
        if name is None:  # a layer of another model, which this one calls
            return
        calls[name] = calls.get(name, 0) + 1
        if wanted is None or name in wanted:
            called = name if calls[name] == 1 else f"{name}#{calls[name]}"
            scores[called] = _scores(layer, inputs, choose)

    with observed(observer):
        model(keras.tree.map_structure(as_tensor, images), training=False)
    for name in sorted((wanted or set()) - set(scores)):
        raise ValueError(
            f"`layers` must be names of layers that run. Received: {name!r}, which {model.name!r} never calls"
        )
    return size, scores


def _scores(layer, inputs, choose):
    batch, height, width, _ = inputs.shape
    positions, shape = choose((height, width))
    scores = np.empty((batch, layer.num_heads, len(positions), height * width), np.float32)
    block = max(1, BLOCK_BYTES // (4 * batch * layer.num_heads * height * width))
    for begin in range(0, len(positions), block):
        part = layer.attention_scores(inputs, positions[begin : begin + block])
        scores[:, :, begin : begin + block] = ops.convert_to_numpy(part)
    return scores.reshape(batch, layer.num_heads, *shape, height, width)


def _known_names(layers, known):
    """Returns names of layers as a set, or raises ValueError for an unknown name."""
    names = {layers} if isinstance(layers, str) else set(layers)
    for name in sorted(names - set(known)):
        similar = difflib.get_close_matches(name, known, n=1) or list(known)[-1:]
        raise ValueError(
            f"`layers` must be names of attention layers of the model, such as {similar[0]!r}. Received: {name!r}"
        )
    return names


def _size_of(images):
    """Returns the (height, width) of images, the first of what a model takes, or raises ValueError."""
    for array in keras.tree.flatten(images):
        shape = np.shape(array) if not hasattr(array, "shape") else tuple(array.shape)
        if len(shape) == 4:
            return int(shape[1]), int(shape[2])
    shapes = [tuple(np.shape(array)) for array in keras.tree.flatten(images)][:3]
    raise ValueError(f"`images` must have the shape (batch, height, width, channels). Received: shape {shapes}")


def _check_images(model, images):
    expected = getattr(model, "input_shape", None) if isinstance(model, keras.Model) else None
    if not isinstance(expected, tuple) or not hasattr(images, "shape"):
        return
    shape = tuple(images.shape)
    fits = len(shape) == len(expected) and all(
        wanted in (None, length) for wanted, length in zip(expected, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"`images` must have the shape {expected}, which the model takes. Received: shape {shape}")


def as_tensor(array: Any) -> Any:
    """Returns an array or a tensor of any type as a tensor of Keras's floating-point type."""
    return ops.convert_to_tensor(array, dtype=keras.config.floatx())


def _numbered(name, taken):
    """Returns a name that is not used yet: "a", "a'2", "a'3"."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}'{number}", number + 1
    return candidate
