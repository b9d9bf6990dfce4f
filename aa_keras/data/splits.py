"""The splits of a data set: for training, validation and test."""

from aa_keras.errors import UserError

# The names of splits, in any case, and which split each is. Of several for the same split, the first is preferred.
NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_of(name):
    """Returns the split that a folder or file of this name is, "train", "validation" or "test", or None."""
    return NAMES.get(name.lower())


def choose_splits(splits, test_split, where):
    """Returns the names of the splits to report on and to validate on, or None where there is none.

    Args:
        splits: names of the splits.
        test_split: name of the split to report on, which may be "train", or None for the usual one.
        where: name of the data set, for the error.

    Raises:
        UserError: if there is no split `test_split`.
    """
    test_splits, validation_splits = (_of_kind(splits, split) for split in ("test", "validation"))
    if test_split is None:
        test_split = next(iter(test_splits + validation_splits), None)
    elif test_split != "train" and test_split not in splits:
        same = _of_kind(splits, split_of(test_split) or test_split)
        if not same:
            names = ", ".join(sorted({"train", *splits}))
            raise UserError(f"config.test_split must be unset or one of {names} in {where}. Received: {test_split!r}")
        test_split = same[0]
    return test_split, next((name for name in validation_splits if name != test_split), None)


def _of_kind(names, split):
    """Returns the names among some that are for a split."""
    order = list(NAMES)
    return sorted((name for name in names if split_of(name) == split), key=lambda name: order.index(name.lower()))


def check_validation_examples(validation_examples, train_examples, validation_split):
    """Raises UserError unless this many training examples can be held out."""
    if validation_split is not None and validation_examples:
        raise UserError(
            f"config.validation_examples must be 0 for a data set that has the split {validation_split!r} to validate "
            f"on. Received: validation_examples={validation_examples}"
        )
    if not 0 <= validation_examples < train_examples:
        raise UserError(
            f"config.validation_examples must be from 0 to {train_examples - 1}, one less than the training examples. "
            f"Received: validation_examples={validation_examples}"
        )
