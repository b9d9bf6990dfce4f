"""Annotations of objects in COCO's JSON format, all of them checked."""

import collections
import contextlib
import dataclasses
import math
import sys

import numpy as np

from aa_keras.data.progress import Progress
from aa_keras.errors import UserError, is_integer, is_number
from aa_keras.files import is_line, read_json

# The number of pixels by which a box may reach beyond its image: annotation tools round.
TOLERANCE = 1.0


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image and the objects in it.

    Attributes:
        id: the image's number in its annotation file.
        name: path of the image, or its name.
        height: of the image, in pixels.
        width: likewise.
        boxes: float32 array (objects, 4), the pixels top, left, bottom and right of each.
        labels: int32 array (objects,), indices of classes.
        areas: float32 array (objects,), pixels, of the object itself where the file has it.
        is_crowd: boolean array (objects,), whether a box holds many objects that were not annotated one by one.
    """

    id: int
    name: str
    height: int
    width: int
    boxes: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    is_crowd: np.ndarray

    def relabelled(self, labels):
        """Returns the same with the class `labels[c]` in place of each class c."""
        return dataclasses.replace(self, labels=np.asarray(labels, np.int32)[self.labels])


@dataclasses.dataclass(frozen=True)
class Categories:
    """The classes of a detector.

    Attributes:
        names: of the classes, in the order of their labels.
        ids: the number of each in annotation files and results.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]


class BadBoxes:
    """The handling of boxes that cannot be used: an error by default, or they are left out and counted.

    Args:
        skip: whether to leave them out.

    Attributes:
        skipped: dictionary from each box or image that was left out to the reason.
        error: the `UserError` that was raised, or None.
    """

    def __init__(self, skip=False):
        self.skip = skip
        self.skipped = {}
        self.error = None

    def found(self, where, reason):
        """Notes a box, or raises UserError.

        Args:
            where: name of the box in messages.
            reason: what is wrong with it.
        """
        if not self.skip:
            self.error = UserError(
                f"{where}: {reason}. Repair it, or leave such boxes out with --config.bad_boxes=skip"
            )
            raise self.error
        self.skipped[where] = reason

    @contextlib.contextmanager
    def as_user_errors(self):
        """Raises the original `UserError` in place of the error that a library made of it in the `with` block."""
        try:
            yield
        except Exception:
            if self.error is None:
                raise
            raise self.error from None


def read_coco(path, path_of, bad_boxes, known=None):
    """Reads a file of annotations.

    Args:
        path: the JSON file.
        path_of: function of an image's `file_name` that returns its path, or None where there is no such file. Its
            second argument says whether the file may be in another folder: whether the name without folders is unique.
        bad_boxes: `BadBoxes`.
        known: the `Categories` of another split, or None.

    Returns:
        The `Categories`, and the list of `AnnotatedImage`s, including those without objects, in the file's order.

    Raises:
        UserError: if it is not such a file, or has impossible values.
    """
    with Progress(f"Reading {path}"):
        content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must be an object with images, annotations and categories, as COCO's files are")
    lists = {name: _list_of_objects(path, content, name) for name in ("images", "annotations", "categories")}
    used = {_hashable(annotation.get("category_id")) for annotation in lists["annotations"]}
    categories = _categories(path, lists["categories"], used, known)
    images = _images(path, lists["images"])
    objects = {number: [] for number in images}
    seen = set()
    for index, annotation in enumerate(lists["annotations"]):
        where = f"{path}: annotation {annotation.get('id', f'number {index + 1}')}"
        image = images.get(_hashable(annotation.get("image_id")))
        if image is None:
            bad_boxes.found(where, f"there is no image with its image_id, {annotation.get('image_id')!r:.60}")
            continue
        try:
            objects[image["id"]].append(_object(annotation, image, categories, seen))
        except _AnnotationError as error:
            bad_boxes.found(f"{where} of {image['file_name']}", str(error))
    annotated = []
    last_parts = collections.Counter(last_part(image["file_name"]) for image in images.values())
    for number, image in images.items():
        name = path_of(image["file_name"], last_parts[last_part(image["file_name"])] == 1)
        if name is None:
            bad_boxes.found(f"{path}: image {number}", f"there is no file {image['file_name']}")
        else:
            annotated.append(annotated_image(number, name, image["height"], image["width"], objects[number]))
    if not annotated:
        raise UserError(f"{path} has no images")
    return categories, annotated


def last_part(file_name):
    """Returns a `file_name` without its folders, whichever slashes are between them."""
    return file_name.replace("\\", "/").rsplit("/", 1)[-1]


def annotated_image(number, name, height, width, objects):
    """Returns an `AnnotatedImage` of a list of tuples (box, label, area, is_crowd)."""
    boxes, labels, areas, is_crowd = zip(*objects, strict=True) if objects else ((), (), (), ())
    return AnnotatedImage(
        number,
        name,
        height,
        width,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int32),
        np.array(areas, np.float32),
        np.array(is_crowd, bool),
    )


def box_problem(box, height, width):
    """Returns what is wrong with a box (top, left, bottom, right) of pixels, or None if it is right."""
    if not all(map(math.isfinite, box)):
        return f"its box has numbers that are infinite or NaN, {_told(box)}"
    top, left, bottom, right = box
    if bottom <= top or right <= left:
        return f"its box has no area: top, left, bottom and right are {_told(box)}"
    outside = max(-top, -left, bottom - height, right - width) > TOLERANCE
    if outside or min(bottom, height) <= max(top, 0) or min(right, width) <= max(left, 0):
        return (
            f"its box reaches out of the image of {width}x{height} pixels: top, left, bottom and right are {_told(box)}"
        )
    return None


def _told(box):
    return ", ".join(f"{number:g}" for number in box)


def _list_of_objects(path, content, name):
    values = content.get(name)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        found = "is missing" if name not in content else f"is {values!r:.60}"
        raise UserError(f"{path} must have a list of objects called {name}, as COCO's files do: it {found}")
    return values


def _categories(path, values, used, known):
    """Returns the `Categories`, without a root category that groups the others and has no boxes, as Roboflow writes it.

    Args:
        path: the file, for errors.
        values: its categories.
        used: set of the numbers of those with boxes.
        known: the `Categories` of another split, which have the root if that has boxes there; or None.
    """
    for value in values:
        if not is_integer(value.get("id")) or not is_line(value.get("name")):
            raise UserError(
                f"{path}: a category must have a whole number as its id and a line as its name. Received: "
                f"id={value.get('id')!r}, name={value.get('name')!r}"
            )
    groups = {_hashable(value.get("supercategory")) for value in values}
    numbers_and_names = [
        (value["id"], value["name"])
        for value in values
        if value.get("supercategory") not in (None, "", "none")
        or value["name"] not in groups
        or value["id"] in used
        or (known is not None and value["id"] in known.ids)
    ]
    for column, what in ((0, "id"), (1, "name")):
        twice = _first_twice(pair[column] for pair in numbers_and_names)
        if twice is not None:
            raise UserError(f"{path}: two categories have the {what} {twice!r}")
    if not numbers_and_names:
        raise UserError(f"{path} has no categories")
    numbers_and_names.sort()
    return Categories(tuple(name for _, name in numbers_and_names), tuple(number for number, _ in numbers_and_names))


def _images(path, values):
    for index, image in enumerate(values):
        where = f"{path}: image {image.get('id', f'number {index + 1}')}"
        if not is_integer(image.get("id")):
            raise UserError(f"{where} must have a whole number as its id. Received: id={image.get('id')!r}")
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            raise UserError(f"{where} must have a file_name. Received: file_name={name!r}")
        for side in ("height", "width"):
            if not is_integer(image.get(side)) or image[side] < 1:
                raise UserError(f"{where} must have a {side} in pixels. Received: {side}={image.get(side)!r}")
    for what in ("id", "file_name"):
        twice = _first_twice(image[what] for image in values)
        if twice is not None:
            raise UserError(f"{path}: two images have the {what} {twice!r}")
    return {image["id"]: image for image in values}


class _AnnotationError(Exception):
    """The reason why an annotation is wrong."""


def _object(annotation, image, categories, seen):
    """Returns (box, label, area, is_crowd) of an annotation, or raises `_AnnotationError`."""
    number = _hashable(annotation.get("id"))
    if number is None or number in seen:
        raise _AnnotationError("it has no id" if number is None else "another annotation has its id")
    seen.add(number)
    if annotation.get("category_id") not in categories.ids:
        raise _AnnotationError(f"there is no category with its category_id, {annotation.get('category_id')!r}")
    bbox = annotation.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_finite_number, bbox)):
        raise _AnnotationError(f"its bbox must be four numbers, left, top, width and height, and is {bbox!r:.60}")
    left, top, width, height = map(float, bbox)
    box = (top, left, top + height, left + width)
    problem = box_problem(box, image["height"], image["width"])
    if problem is not None:
        raise _AnnotationError(problem)
    limits = (image["height"], image["width"]) * 2
    box = tuple(min(max(value, 0.0), limit) for value, limit in zip(box, limits, strict=True))
    area = annotation.get("area")
    area = float(area) if _is_finite_number(area) and 0 < area < math.inf else width * height
    return box, categories.ids.index(annotation["category_id"]), area, annotation.get("iscrowd") in (1, True)


def _is_finite_number(value):
    return is_number(value) and not (isinstance(value, int) and abs(value) > sys.float_info.max)


def _hashable(value):
    return value if isinstance(value, (int, float, str)) else None


def _first_twice(values):
    seen = set()
    return next((value for value in values if value in seen or seen.add(value)), None)
