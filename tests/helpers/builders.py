"""Helpers for the tests of the builders: every builder, small and with generic weights."""

import contextlib

import keras
import numpy as np

from aa_keras import applications

# Arguments of each builder in tests, besides the common ones; a new builder needs an entry. The images are the
# smallest on which attention sees more than one pixel in every stage.
_RESNET = {"input_shape": (64, 64, 3)}
_SMALL_RESNET = {**_RESNET, "depth": 50, "width": 16, "blocks": (1, 2, 1, 1)}
# With the additional parts of timm's three BoTNets.
_SMALL_BOTNET = {
    "stages": ("c", "c", "ca", "a"),
    "stem": "3x3 strided",
    "activation": "silu",
    "group_size": 16,
    "channel_attention": "efficient",
    "head_channels": 64,
}
_WIDE_RESNET = {"input_shape": (8, 8, 3)}
_RETINANET = {"input_shape": (128, 128, 3), "classes": 3}
_SMALL_RETINANET = {**_RETINANET, "depth": 18, "width": 16, "blocks": (1, 1, 1, 1), "head_convolutions": 1}
_SMALL_WIDE_RESNET = {"depth": 10, "width": 1, "input_shape": (8, 8, 3)}
ARGUMENTS = {
    "AAMnasNet": {"alpha": 0.75, "input_shape": (64, 64, 3)},
    "AAResNet": _SMALL_RESNET,
    "AAResNet34": _RESNET,
    "AAResNet50": _RESNET,
    "AAResNet101": _RESNET,
    "AAResNet152": _RESNET,
    "AARetinaNet": _SMALL_RETINANET,
    "AARetinaNet50": _RETINANET,
    "AARetinaNet101": _RETINANET,
    "AAWideResNet": _SMALL_WIDE_RESNET,
    "AAWideResNet16_4": _WIDE_RESNET,
    "AAWideResNet28_10": _WIDE_RESNET,
    "BoTNet": {**_RESNET, **_SMALL_BOTNET},
    "BoTNet26t": _RESNET,
    "BoTNet50": _RESNET,
    "ECABoTNeXt26ts": _RESNET,
    "GEWideResNet": _SMALL_WIDE_RESNET,
    "GEWideResNet28_10": _WIDE_RESNET,
    "MnasNet": {"alpha": 0.75, "input_shape": (64, 64, 3)},
    "ResNet": _SMALL_RESNET,
    "ResNet34": _RESNET,
    "ResNet50": _RESNET,
    "ResNet101": _RESNET,
    "ResNet152": _RESNET,
    "RetinaNet": _SMALL_RETINANET,
    "RetinaNet50": _RETINANET,
    "RetinaNet101": _RETINANET,
    "SEBoTNet33ts": _RESNET,
    "SEResNet": _SMALL_RESNET,
    "SEResNet34": _RESNET,
    "SEResNet50": _RESNET,
    "SEResNet101": _RESNET,
    "SEResNet152": _RESNET,
    "SERetinaNet": _SMALL_RETINANET,
    "SERetinaNet50": _RETINANET,
    "SEWideResNet": _SMALL_WIDE_RESNET,
    "SEWideResNet28_10": _WIDE_RESNET,
    "WideResNet": _SMALL_WIDE_RESNET,
    "WideResNet16_4": _WIDE_RESNET,
    "WideResNet28_10": _WIDE_RESNET,
}
# The builders of classifiers, and of detectors.
CLASSIFIERS = tuple(applications.list_models(task="classification"))
DETECTORS = tuple(applications.list_models(task="detection"))
# A network of each kind of block, for tests that build one. The other builders are these with other arguments, which
# test_variants.py proves: one more network of the same blocks would test nothing more.
KINDS = {
    "AAMnasNet": {},
    "AAResNet": {},
    "AAResNet of basic blocks": {"depth": 18, "blocks": (1, 1, 1, 1)},
    "AAWideResNet": {},
    "BoTNet": {},
    "GEWideResNet": {},
    "SEResNet": {},
    "SEWideResNet": {},
    "WideResNet": {},
}


def build(name, **arguments):
    """Builds a network of the library by name or kind, for small images."""
    builder = name.split()[0]
    return getattr(applications, builder)(**{**ARGUMENTS[builder], **KINDS.get(name, {}), **arguments})


@contextlib.contextmanager
def without_values():
    """Builds models without drawing their weights, if only their structure matters."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        keras.utils.clear_session(free_memory=False)  # otherwise Keras would draw them later


def images(*shape, seed=1):
    """Random normalized images."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


STATISTICS = {"gamma": (0.5, 1.5), "beta": (-0.5, 0.5), "moving_mean": (-0.5, 0.5), "moving_variance": (2, 6)}
# Variances are large, so that activations stay small enough for a softmax without training; smaller in MnasNets, whose
# linear bottlenecks would otherwise output almost nothing, and with SiLU, which is small for small numbers.
VARIANCE_OF_MNASNETS, VARIANCE_WITH_SILU = (0.15, 0.4), (1.5, 3)


def with_random_statistics(model, seed=2):
    """Redraws the weights of batch normalization, so that none stays at 0 or 1."""
    generator = np.random.default_rng(seed)
    statistics = dict(STATISTICS)
    if "mnasnet" in model.name:
        statistics["moving_variance"] = VARIANCE_OF_MNASNETS
    elif any(getattr(layer, "activation", None) is keras.activations.silu for layer in model.layers):
        statistics["moving_variance"] = VARIANCE_WITH_SILU
    for variable in model.weights:
        if variable.name in statistics:
            variable.assign(generator.uniform(*statistics[variable.name], size=variable.shape))
    return model
