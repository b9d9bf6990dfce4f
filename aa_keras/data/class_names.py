"""The classes of a data set, matched with those of a network by name."""

import difflib
import unicodedata

import numpy as np

from aa_keras.errors import UserError


def matching_labels(found, used, known, where):
    """Returns the label that a network has for each class of a data set, whatever their order.

    Args:
        found: names of the data set's classes.
        used: set of the labels that its images have, indices of `found`; None for all.
        known: names of the network's classes.
        where: the data set, for errors.

    Returns:
        An int32 array, -1 for a class without images that the network does not know; and the list of the names of
        those of the network's classes of which there are no images.

    Raises:
        UserError: if there are images of a class that the network does not know, or has twice.
    """
    used = set(range(len(found))) if used is None else used
    found, known = ([unicodedata.normalize("NFC", name) for name in names] for names in (found, known))
    if found == known:
        labels = list(range(len(known)))
    else:
        labels = [known.index(name) if name in known else -1 for name in found]
        for label in sorted(used):
            if labels[label] < 0 or known.count(found[label]) > 1:
                raise UserError(f"{where} has images of {found[label]!r}, {_problem(found[label], known)}")
    there = {labels[label] for label in used}
    return np.array(labels, np.int32), [name for label, name in enumerate(known) if label not in there]


def _problem(name, known):
    if name in known:
        return "which is the name of two classes of the network"
    similar = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    return f"a class that the network does not know. It knows {listed(known)}.{hint}"


def listed(names, most=5):
    """Returns names as part of a line, of many only the first ones."""
    return f"{', '.join(names[:most])}{', ...' if len(names) > most else ''}"
