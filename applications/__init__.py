"""Builders of the paper's networks, used as those of `keras.applications`.

`__init__.pyi` has their signatures for editors; `make stubs` writes it.
"""

import sys

from . import botnet, mnasnet, resnet, retinanet, wide_resnet  # noqa: F401  which define the builders
from .blocks import pyramid_outputs  # noqa: F401
from .builders import BUILDERS
from .catalogue import architecture_of, create_model, list_models, weights_of  # noqa: F401

# Every builder, and nothing else: a config names one of these. The functions `list_models`, `create_model` and
# `pyramid_outputs` are not in the list. `list_models(task=...)` returns the builders for a task.
__all__ = list_models()
globals().update(BUILDERS)

# The first names of the modules of three families.
for _family in (mnasnet, resnet, wide_resnet):
    _first = _family.__name__.rpartition(".")[2]
    globals()[f"aa_{_first}"] = sys.modules[f"{__name__}.aa_{_first}"] = _family
