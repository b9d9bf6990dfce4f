"""Data sets by name."""

import pathlib

from aa_keras.data import digits
from aa_keras.data.coco import BadBoxes
from aa_keras.data.coco_folder import load_coco_folder, load_test_coco_folder
from aa_keras.data.fashion_mnist import find_fashion_mnist, load_fashion_mnist
from aa_keras.data.image_folder import load_image_folder, load_test_folder
from aa_keras.errors import UserError

# Data sets that are whatever a folder holds.
FOLDERS = ("image_folder", "coco_folder", "bccd")


def load_dataset(
    name,
    data_dir=None,
    validation_examples=0,
    image_size=None,
    test_split=None,
    test_fraction=0.2,
    shuffle_buffer=8192,
    for_test_alone=False,
    channels=None,
):
    """Loads a data set of images of one size into memory, or finds one of images of any size.

    Args:
        name: "digits" for the 1,797 handwritten digits that scikit-learn ships, or "digit_neighbours" for a task made
            of them (see `aa_keras.data.digits`), neither of which needs a download; "image_folder" for a folder of
            class folders (see `aa_keras.data.image_folder`); "fashion_mnist" as IDX files, if `data_dir` or the
            system's package `dataset-fashion-mnist` has them (see `aa_keras.data.fashion_mnist`); or the name of
            labelled images in TensorFlow Datasets, such as "cifar100" or "imagenet2012".
        data_dir: the image folder; or the folder of TensorFlow Datasets, or a folder that has it as `tfds`; None takes
            the default folder of TensorFlow Datasets.
        validation_examples: how many training examples to hold out, unless the data set has a split for that; the
            digits have a fixed split instead.
        image_size: height and width to resize images to, which then stay encoded until they are needed; None for
            images of one size, held in memory as they are.
        test_split: name of the split to report on; "train" reports on the images trained on. None takes "test" where
            that has labels, or otherwise "validation"; if there are both, the latter is for validation.
        test_fraction: share of each class to report on, for an image folder without a split for that.
        shuffle_buffer: number of encoded training examples of TensorFlow Datasets in memory, from which the next one
            is drawn; 8192 photographs of ImageNet take 0.9 GB.
        for_test_alone: whether nothing in the folder was trained on, so that all images can be reported on. It is for
            an image folder.
        channels: for an image folder, 1 to see all images in shades of gray; None for 3.

    Returns:
        An `ImageDataset`.

    Raises:
        UserError: if there is no such data set, folder or split, or it does not consist of labelled images.
    """
    if channels is not None and name != "image_folder":
        raise UserError(
            f"config.channels must be unset for dataset={name!r}, whose images have the channels that they have. "
            f"Received: channels={channels}"
        )
    idx_folder = find_fashion_mnist(data_dir) if name == "fashion_mnist" else None
    if name in ("digits", "digit_neighbours") or idx_folder is not None:
        has_own_validation = idx_folder is None
        if image_size is not None or test_split not in (None, "test") or (has_own_validation and validation_examples):
            raise UserError(
                f"config.image_size and config.test_split must be unset"
                f"{' and config.validation_examples 0' if has_own_validation else ''} for dataset={name!r}, of one "
                "size and with a split of its own. Received: "
                f"image_size={image_size}, test_split={test_split!r}, validation_examples={validation_examples}"
            )
        return getattr(digits, name)() if has_own_validation else load_fashion_mnist(idx_folder, validation_examples)
    if image_size is not None and image_size < 1:
        raise UserError(f"config.image_size must be at least 1, or unset. Received: image_size={image_size}")
    if name == "image_folder":
        if image_size is None:
            raise UserError("config.image_size must be set for dataset='image_folder', for instance to 224")
        if for_test_alone:
            return load_test_folder(data_dir, image_size, test_split, channels or 3)
        return load_image_folder(data_dir, image_size, validation_examples, test_split, test_fraction, channels or 3)
    from aa_keras.data.tfds_images import load_from_tensorflow_datasets  # imports all of TFDS

    return load_from_tensorflow_datasets(name, data_dir, validation_examples, image_size, test_split, shuffle_buffer)


def load_detection_dataset(
    name, data_dir=None, validation_examples=0, test_split=None, bad_boxes=None, for_test_alone=False
):
    """Finds a data set of images with boxes.

    Args:
        name: "coco_folder" for a folder with annotations in COCO's format (see `load_coco_folder`), "bccd" for such a
            folder called `bccd` in `data_dir`, or "coco/2017" of TensorFlow Datasets.
        data_dir: the folder; or the folder of TensorFlow Datasets, or a folder that has it as `tfds`.
        validation_examples: how many training images to hold out, unless there is a split for that.
        test_split: the split to report on; None takes "test", or otherwise "validation".
        bad_boxes: `BadBoxes`, or None if a bad box is an error.
        for_test_alone: whether nothing in the folder was trained on, so that all images can be reported on.

    Returns:
        A `DetectionDataset`.

    Raises:
        UserError: if there is no such data set, or it has impossible values.
    """
    bad_boxes = bad_boxes or BadBoxes()
    if name in ("coco_folder", "bccd"):
        if data_dir is None or not pathlib.Path(data_dir).expanduser().is_dir():
            raise UserError(
                f"config.data_dir must be a folder that exists for dataset={name!r}. "
                f"Received: data_dir={None if data_dir is None else str(data_dir)!r}"
            )
        folder = pathlib.Path(data_dir).expanduser()
        if name == "bccd" and (folder / name).is_dir():
            folder = folder / name
        if for_test_alone:
            return load_test_coco_folder(folder, name, test_split, bad_boxes)
        return load_coco_folder(folder, name, validation_examples, test_split, bad_boxes)
    from aa_keras.data.tfds_detection import load_detections_from_tensorflow_datasets  # imports all of TFDS

    return load_detections_from_tensorflow_datasets(name, data_dir, validation_examples, test_split, bad_boxes)
