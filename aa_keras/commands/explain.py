"""Shows what a trained network looks at in an image."""

import difflib
import pathlib

import numpy as np
import tensorflow as tf

from aa_keras import explain
from aa_keras.commands import trained
from aa_keras.commands.images import read_images
from aa_keras.data import Progress
from aa_keras.errors import UserError
from aa_keras.explain import figures
from aa_keras.explain.explorer import explorer_page
from aa_keras.explain.scores import attention_map_sizes, deepest_of_largest
from aa_keras.files import as_text, local_path, write_whole

FIGURES = ("heads.png", "layers.png", "distances.png", "grad_cam.png")
TOP = 5
# Distances are the mean over at most this many queries along each axis of a map.
QUERIES = 32


def explain_image(
    image: str | None = None,
    workdir: str | None = None,
    model: str | None = None,
    builder: str | None = None,
    weights: str | None = None,
    layer: str | None = None,
    query: list[str] | None = None,
    output: str | None = None,
    html: str | None = None,
    dataset: str | None = None,
    labels: str | None = None,
) -> list[pathlib.Path]:
    """Writes pictures of what a trained network looks at in an image, a page to explore it with, or both.

    The arguments are the flags of `aa-keras explain`. For a network without attention there is a picture of Grad-CAM
    alone; for a detector, Grad-CAM of the classes that it finds.

    Returns:
        The paths of the files that were written.

    Raises:
        UserError: if the flags name no network, image, layer or pixel, or the image cannot be read.
    """
    if image is None:
        raise UserError("--image must be given")
    source = pathlib.Path(local_path("--image", image))
    if not source.is_file():
        raise UserError(f"--image must be the file of an image. Received: --image={image}")
    pixels = [_parsed_pixel(text) for text in query or ()]
    page = None if html is None else pathlib.Path(local_path("--html", html))
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--html must end in .html. Received: --html={html}")
    folder = None
    if output is not None or page is None:
        folder = pathlib.Path(local_path("--output", output or "explanation"))
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--output must be a folder. Received: --output={folder}, which is a file")
    targets = [] if folder is None else [folder / name for name in FIGURES]
    targets += [] if page is None else [page]
    if any(target.exists() and target.samefile(source) for target in targets):
        raise UserError(f"--image={source} would be overwritten: choose another --output")
    servable = trained.servable_of_flags(workdir, model, builder, weights, dataset, labels)
    read = [array for _, array in read_images([source], servable.spec.turns_images)]
    if not read:
        raise UserError(f"--image must be an image that can be read. Received: --image={image}")
    seen = _Seen(servable, read[0], source.name)
    layer = seen.checked_layer(layer, pixels, page)
    written = []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with Progress("Explaining, as pictures"):
            written += [folder / name for name in seen.draw(folder, layer, pixels)]
        print(f"{folder}: {', '.join(path.name for path in written)}")
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        with Progress("Explaining, as a page"):
            write_whole(page, seen.page(layer))
        written.append(page)
        print(f"{page}: {page.stat().st_size / 1e6:.2f} MB")
    return written


class _Seen:
    """An image as a network takes it, with the network's predictions.

    Args:
        servable: the `Servable`.
        image: uint8 array (height, width, 3), the image in its own size.
        name: name of the image.
    """

    def __init__(self, servable, image, name):
        predictor = servable.predictor()
        spec = predictor.spec
        self.model, self.class_names = predictor.model, spec.class_names
        self.name, self.title = as_text(name), f"{self.model.name}, {as_text(name)}"
        self.image, _ = spec.preprocess(image)
        self.pixels = np.asarray(spec.preprocessing.normalize(tf.constant(self.image[None])))
        (outputs,) = predictor.predict([image])
        self.predictions = [(spec.class_names[number], share) for number, share in spec.seen(outputs)[:TOP]]
        self.classes = spec.best_of_each(outputs)[:TOP]
        self.sizes = attention_map_sizes(self.model, self.pixels)

    def checked_layer(self, layer, pixels, page):
        """Returns the name of the layer to show, or None for none; raises UserError if there is no such layer."""
        height, width = self.image.shape[:2]
        if not self.sizes:
            if layer is not None or pixels or page is not None:
                raise UserError(
                    f"--layer, --query and --html need a network with attention, and {self.model.name!r} has none"
                )
            print(f"{self.model.name} has no attention: the pictures are of Grad-CAM alone")
            return None
        for y, x in pixels:
            if y >= height or x >= width:
                raise UserError(
                    f"--query must be one of the {height}x{width} pixels that the network takes, up to "
                    f"{height - 1},{width - 1}. Received: --query={y},{x}"
                )
        if layer is not None and layer not in self.sizes:
            similar = difflib.get_close_matches(layer, self.sizes, n=1)
            hint = f"Did you mean {similar[0]}?" if similar else f"The layers are {', '.join(self.sizes)}"
            raise UserError(
                f"--layer must name a layer with attention of {self.model.name!r}. Received: --layer={layer}. {hint}"
            )
        return layer or deepest_of_largest(self.sizes)

    def draw(self, folder, layer, pixels):
        """Writes the pictures into a folder, and returns their names."""
        names = []
        height, width = self.image.shape[:2]
        if layer is not None:
            chosen = pixels or [(y, x) for y in _thirds(height) for x in _thirds(width)]
            maps = {name: array[0] for name, array in explain.attention_at(self.model, self.pixels, chosen).items()}
            figures.plot_heads(self.image, maps[layer], chosen, f"{layer} of {self.title}", folder / "heads.png")
            middle = len(chosen) // 2
            of_middle = {name: array[:, middle] for name, array in maps.items()}
            title = f"Where the pixel {chosen[middle]} looks: {self.title}"
            figures.plot_contact_sheet(self.image, of_middle, chosen[middle], title, folder / "layers.png")
            scores = explain.attention_scores(self.model, self.pixels, queries=QUERIES)
            distances = explain.mean_attention_distance(scores)
            title = f"How far heads look: {self.title}"
            figures.plot_distances(distances, (height, width), title, folder / "distances.png")
            names += ["heads.png", "layers.png", "distances.png"]
        if self.classes:
            speaking = [explain.grad_cam(self.model, self.pixels, number)[0] for number, _ in self.classes]
            labels = [f"{self.class_names[number]} {share:.1%}" for number, share in self.classes]
            title = f"What speaks for the most probable classes: {self.title}"
            figures.plot_grad_cam(self.image, np.stack(speaking), labels, title, folder / "grad_cam.png")
            names.append("grad_cam.png")
        return names

    def page(self, layer):
        """Returns the page to explore attention with."""
        height, width = self.image.shape[:2]
        subtitle = f"Attention of {self.model.name}, which takes {height}x{width} pixels"
        return explorer_page(self.model, self.pixels, self.image, self.predictions, self.name, subtitle, layer)


def _parsed_pixel(text):
    """Returns "Y,X" as a pair of integers, or raises UserError."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UserError(f"--query must be Y,X, two whole numbers from 0. Received: --query={text}")
    return int(parts[0]), int(parts[1])


def _thirds(length):
    """Returns the middles of three equal parts of a side."""
    return sorted({(2 * part + 1) * length // 6 for part in range(3)})
