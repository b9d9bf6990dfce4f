"""Pictures of what a network looks at in the images that it gets wrong."""

import numpy as np

from aa_keras.explain import figures
from aa_keras.explain.grad_cam import grad_cam
from aa_keras.explain.measures import attention_rollout
from aa_keras.explain.scores import attention_at, attention_layers, attention_scores

# In larger maps, the attention of all pixels to all others takes too much memory.
LARGEST_MAP = 32 * 32


def plot_mistakes(model, mistakes, class_names, mean, std, path, most=8):
    """Draws mistakes of a classifier in rows: the image, where attention flows, what speaks for the two classes.

    Args:
        model: the Keras classifier; without attention, or with maps larger than 32x32, the picture has Grad-CAM alone.
        mistakes: sequence of `aa_keras.evaluation.classification_results.Mistake`.
        class_names: names of the classes.
        mean: mean of each channel with which the images were normalized, for pixels in [0, 255].
        std: standard deviation of each channel, likewise.
        path: PNG file to write, or a file object.
        most: largest number of mistakes to draw.
    """
    rows = []
    for mistake in mistakes[:most]:
        image = np.clip(np.round(mistake.image * std + mean), 0, 255).astype(np.uint8)
        inputs = mistake.image[None]
        maps = (
            {"attention rollout": attention_rollout(attention_scores(model, inputs))[0]}
            if _is_small(model, inputs)
            else {}
        )
        for number in (mistake.prediction, mistake.label):
            maps[f"for {class_names[number]}"] = grad_cam(model, inputs, number)[0]
        caption = (
            f"taken for {class_names[mistake.prediction]} ({mistake.confidence:.0%})\nis {class_names[mistake.label]}"
        )
        rows.append((image, caption, maps))
    figures.plot_rows(rows, "The most confident mistakes: attention rollout, and Grad-CAM of both classes", path)


def _is_small(model, inputs):
    if not attention_layers(model):
        return False
    return all(array[0, 0, 0].size <= LARGEST_MAP for array in attention_at(model, inputs, [(0, 0)]).values())
