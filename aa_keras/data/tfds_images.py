"""Labelled images from TensorFlow Datasets, in memory or encoded."""

import copy
import pathlib
import urllib.error
import urllib.request

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from aa_keras.data.encoded import EncodedImages
from aa_keras.data.splits import check_validation_examples, choose_splits
from aa_keras.data.types import ImageDataset, LabelledImages
from aa_keras.errors import UserError, described

# Where TFDS looks first for a data set that is not prepared, and the seconds to wait for an answer.
TFDS_BUCKET, CONNECTION_TIMEOUT = "https://storage.googleapis.com", 5
# Files that must be downloaded by hand, since they need a registration.
ARCHIVES = {"imagenet2012": ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")}


class TfdsImages(EncodedImages):
    """The encoded images of a split, or of a part of one.

    They are shuffled as a stream: the files of the split, or groups of neighbouring files, are read in random order,
    and their examples pass through a buffer from which the next one is drawn.

    Args:
        builder: `tfds.core.DatasetBuilder`, prepared.
        split: split as TFDS writes it, such as "train[:1000]".
        image_size: height and width that a network sees the images in.
        shuffle_buffer: number of examples in the buffer: 8192 photographs of ImageNet take 0.9 GB.
        groups: number of groups of files to shuffle.
    """

    FEATURES: tuple[str, ...] = ("image", "label", "file_name")

    def __init__(self, builder, split, image_size, shuffle_buffer=8192, groups=1):
        self.image_shape = (image_size, image_size, 3)
        self._shuffle_buffer = shuffle_buffer
        self._name = f"{builder.name} {split}"
        self._has_file_names = "file_name" in builder.info.features
        self._in_order = self._read_split(builder, split).enumerate()
        parts = tfds.even_splits(split, groups) if groups > 1 else [split]
        unnumbered = [self._read_split(builder, part) for part in parts]
        self._group_sizes = [int(group.cardinality()) for group in unnumbered]
        starts = np.cumsum([0, *self._group_sizes[:-1]])
        # An example's index is the same whatever the order in which the groups are read.
        self._groups = [group.enumerate(start) for group, start in zip(unnumbered, starts, strict=True)]
        self._new_labels = None

    def relabelled(self, labels):
        other = copy.copy(self)
        other._new_labels = tf.constant(labels, tf.int32)
        return other

    def _labels(self, labels):
        """Returns labels of TFDS as int32, those of `relabelled` in place of them."""
        labels = tf.cast(labels, tf.int32)
        return labels if self._new_labels is None else tf.gather(self._new_labels, labels)

    def _read_split(self, builder, split):
        wanted = {feature: True for feature in self.FEATURES if feature in builder.info.features}
        return builder.as_dataset(
            split=split,
            decoders=tfds.decode.PartialDecoding(wanted, decoders={"image": tfds.decode.SkipDecoding()}),
            read_config=tfds.ReadConfig(try_autocache=False),
        )

    def __len__(self):
        return sum(self._group_sizes)

    def records(self, order_key=None, shard=(0, 1), sampling="shuffle"):
        if order_key is None:
            return self._in_order.map(self._record)
        index, count = shard
        by_group = count <= len(self._groups)  # otherwise every shard reads all files
        group_key, buffer_key = tf.unstack(tf.random.split(order_key, 2))
        order = tf.random.experimental.stateless_shuffle(tf.range(len(self._groups), dtype=tf.int64), group_key)
        order = order[index::count] if by_group else order
        turns = tf.data.Dataset.from_tensor_slices(tf.repeat(order, tf.gather(self._group_sizes, order)))
        examples = tf.data.Dataset.choose_from_datasets(self._groups, turns, stop_on_empty_dataset=False)
        # `shuffle` mixes its seed with that of the graph, by default the global one, and fails if it is 0.
        tf.compat.v1.get_default_graph().seed = 1
        examples = examples if by_group else examples.shard(count, index)
        size = min(self._shuffle_buffer, len(self))  # since TensorFlow allocates it at once
        shuffled = examples.shuffle(size, seed=buffer_key[0], reshuffle_each_iteration=False)
        return shuffled.map(self._record)

    def _record(self, index, example):
        if self._has_file_names:
            name = example["file_name"]
        else:
            name = tf.strings.join([self._name, ", example ", tf.strings.as_string(index)])
        return index, name, example["image"], self._labels(example["label"])

    def read(self, content):
        return content


def load_from_tensorflow_datasets(
    name, data_dir=None, validation_examples=0, image_size=None, test_split=None, shuffle_buffer=8192
):
    """Loads a data set of TensorFlow Datasets: see `aa_keras.data.load_dataset`."""
    builder = find_builder(name, data_dir)
    features = builder.info.features
    is_labelled = {"image", "label"} <= set(features or ()) and isinstance(features["label"], tfds.features.ClassLabel)
    if not is_labelled or (image_size is None and None in features["image"].shape):
        hint = ", or config.image_size must be set to resize them" if is_labelled else ""
        raise UserError(
            f"config.dataset must name a data set of labelled images of one size{hint}. "
            f"Received: dataset={name!r}, whose features are {sorted(features or ())}"
        )
    try:
        prepare(builder)
        test_split, validation_split = choose_splits(_labelled_splits(builder), test_split, f"the data set {name!r}")
        if test_split is None:
            raise UserError(
                f"The data set {name!r} has no images to report on, only the splits {list(builder.info.splits)}: "
                "config.test_split='train' reports on those trained on"
            )
        if image_size is None:
            parts = _load_in_memory(builder, validation_examples, validation_split, test_split)
        else:
            parts = _load_encoded(
                builder, validation_examples, validation_split, test_split, image_size, shuffle_buffer
            )
    except UserError:
        raise
    except Exception as error:  # TFDS raises errors of many kinds for missing files, network or splits
        raise unreadable(name, data_dir, error) from None
    return ImageDataset(builder.name, tuple(features["label"].names), *parts)


def find_builder(name, data_dir):
    try:
        return tfds.builder(name, data_dir=tensorflow_datasets_folder(data_dir))
    except UserError:
        raise
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:  # no such name, config or version
        raise UserError(
            "config.dataset must be 'digits', 'image_folder' or the name of a data set of TensorFlow Datasets. "
            f"Received: dataset={name!r} ({_first_line(error)})"
        ) from None
    except Exception as error:  # its files are damaged
        raise unreadable(name, data_dir, error) from None


def tensorflow_datasets_folder(data_dir):
    """Returns the folder for TensorFlow Datasets: `data_dir`, its folder `tfds`, or None for the default."""
    if data_dir is None:
        return None
    if "://" in str(data_dir):  # gs://bucket and the like, which TensorFlow Datasets reads
        return str(data_dir)
    folder = pathlib.Path(data_dir).expanduser()
    if not folder.is_dir():
        raise UserError(
            "config.data_dir (by default the environment variable AA_KERAS_DATA) must be a folder that exists. "
            f"Received: data_dir={str(data_dir)!r}"
        )
    return str(folder / "tfds" if (folder / "tfds").is_dir() else folder)


def prepare(builder):
    """Downloads and converts a data set, unless it is already there."""
    try:
        builder.as_dataset(split="train")
        return
    except AssertionError:  # there is nothing in its folder
        pass
    manual_folder = tfds.core.as_path(builder.data_path).parents[1] / "downloads" / "manual"
    missing = [archive for archive in ARCHIVES.get(builder.name, ()) if not (manual_folder / archive).is_file()]
    if missing:
        raise UserError(
            f"The data set {builder.name!r} is not in {builder.data_path}: download {' and '.join(missing)} from "
            f"image-net.org into {manual_folder}, or set config.data_dir to the folder of TensorFlow Datasets that "
            "has it prepared"
        )
    _check_network(builder)
    builder.download_and_prepare()


def _check_network(builder):
    """Raises UserError if nothing can be downloaded, which TFDS finds out in minutes only."""
    downloads = tfds.core.as_path(builder.data_path).parents[1] / "downloads"
    if downloads.exists() and next(downloads.iterdir(), None) is not None:  # perhaps all that is needed
        return
    reasons = []
    for address in filter(None, (TFDS_BUCKET, builder.info.homepage)):
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=CONNECTION_TIMEOUT).close()
            return
        except urllib.error.HTTPError:  # an answer
            return
        except (OSError, ValueError) as error:  # no answer, or no address
            reasons.append(f"{address} cannot be reached ({getattr(error, 'reason', error)})")
    raise UserError(
        f"The data set {builder.name!r} is not in {builder.data_path}, and cannot be downloaded: {', '.join(reasons)}. "
        "Is there a network? Otherwise set config.data_dir to a folder of TensorFlow Datasets that has it prepared"
    )


def _labelled_splits(builder):
    """Returns the names of the splits whose images have classes."""
    splits = list(builder.info.splits) or ["train", "validation"]  # the mocks of TFDS accept any name and list none
    if "test" in splits:
        first = next(iter(builder.as_dataset(split="test[:1]", decoders={"image": tfds.decode.SkipDecoding()})))
        if first["label"] < 0:  # as in ImageNet
            splits.remove("test")
    return splits


def _load_in_memory(builder, validation_examples, validation_split, test_split):
    def load(split):
        tensors = builder.as_dataset(split=split, batch_size=-1)
        return LabelledImages(np.asarray(tensors["image"]), np.asarray(tensors["label"], dtype=np.int32))

    everything = load("train")
    check_validation_examples(validation_examples, len(everything), validation_split)
    kept = len(everything) - validation_examples
    train, validation = (
        LabelledImages(everything.images[part], everything.labels[part]) for part in (slice(kept), slice(kept, None))
    )
    if validation_split is not None:
        validation = load(validation_split)
    return train, validation, train if test_split == "train" else load(test_split)


def _load_encoded(builder, validation_examples, validation_split, test_split, image_size, shuffle_buffer):
    train_examples = int(builder.as_dataset(split="train").cardinality())
    check_validation_examples(validation_examples, train_examples, validation_split)
    train_split = "train"
    if validation_examples:
        kept = train_examples - validation_examples
        train_split, validation_split = f"train[:{kept}]", f"train[{kept}:]"
    files = builder.info.splits["train"].num_shards if builder.info.splits else 1
    train = TfdsImages(builder, train_split, image_size, shuffle_buffer, groups=min(files, 32))
    if validation_split is None:
        validation = LabelledImages(np.zeros((0, *train.image_shape), np.uint8), np.zeros((0,), np.int32))
    else:
        validation = TfdsImages(builder, validation_split, image_size)
    return train, validation, train if test_split == "train" else TfdsImages(builder, test_split, image_size)


def unreadable(name, data_dir, error):
    return UserError(
        f"The data set {name!r} could not be read or downloaded: {_first_line(error)}. Does config.data_dir point at "
        f"TensorFlow Datasets? Received: data_dir={data_dir!r}"
    )


def _first_line(error):
    return str(error).strip().split("\n")[0] or described(error)
