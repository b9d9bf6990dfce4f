"""What every family for ImageNet shares: the preprocessing of its images and the names of its classes."""

from aa_keras.applications import _labels, _preprocessing
from aa_keras.applications.specs import IMAGENET


def preprocess_input(x, data_format=None):
    """Normalises images by the mean and standard deviation of ImageNet, as the models expect them.

    Args:
        x: array or tensor of RGB images with values in [0, 255], of shape (..., 3) and any type. It is not changed.
        data_format: "channels_last" or None.

    Returns:
        A floating-point array, or tensor where `x` is one, of the same shape.

    Raises:
        ValueError: if the last axis does not hold 3 channels, or for another `data_format`.
    """
    return _preprocessing.normalize(x, IMAGENET.mean, IMAGENET.std, data_format)


def decode_predictions(preds, top=5, class_names=None):
    """Names the most probable classes of ImageNet.

    Args:
        preds: array of shape (batch, 1000), or (batch, number of `class_names`): probabilities or logits.
        top: how many classes to name for each image.
        class_names: list of the names of other classes, in their order, for a network that was trained on them.

    Returns:
        For each image a list of `top` triples (WordNet identifier, class name, score), the highest score first.
        With `class_names`, the index of the class stands for the identifier.

    Raises:
        ValueError: if `preds` has another shape, or `top` is not between 1 and the number of classes.
    """
    classes = [tuple(line.split(" ", 1)) for line in _labels.lines("imagenet2012")]
    return _labels.decode_predictions(preds, top, classes, class_names)
