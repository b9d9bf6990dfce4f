"""Which split of a data set is for what."""

from aa_keras.errors import UserError


def choose_splits(splits, test_split, where):
    """Returns the names of the splits to report on and to validate on; None for either where there is none.

    Args:
        splits: names of those there are.
        test_split: name of the one to report on, "train" among them, or None for the usual one.
        where: what has these splits, for the error.

    Raises:
        UserError: if there is no `test_split`.
    """
    validation_splits = [name for name in ("validation", "val") if name in splits]
    if test_split is None:
        test_split = next((name for name in ("test", *validation_splits) if name in splits), None)
    elif test_split != "train" and test_split not in splits:
        names = ", ".join(sorted({"train", *splits}))
        raise UserError(f"config.test_split must be unset or one of {names} in {where}. Received: {test_split!r}")
    return test_split, next((name for name in validation_splits if name != test_split), None)


def check_validation_examples(validation_examples, train_examples, validation_split):
    """Raises UserError unless so many of the training examples can be held out."""
    if validation_split is not None and validation_examples:
        raise UserError(
            f"config.validation_examples must be 0 for a data set that has the split {validation_split!r} to validate "
            f"on. Received: validation_examples={validation_examples}"
        )
    if not 0 <= validation_examples < train_examples:
        raise UserError(
            f"config.validation_examples must be from 0 to {train_examples - 1}, the training examples less one. "
            f"Received: validation_examples={validation_examples}"
        )
