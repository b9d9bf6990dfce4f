"""ONNX files, for ONNX Runtime: writing and running them."""

import contextlib
import logging
import os

import tensorflow as tf

from aa_keras.errors import UserError, described
from aa_keras.export import runtimes
from aa_keras.export.predictor import Predictor
from aa_keras.export.spec import ServingSpec

OPSET = 18


def write(servable, path):
    """Writes an ONNX file for raw images of the network's size, in batches of any size.

    The metadata property "labels" has the names of the classes, one on each line; "aa_keras" has the `ServingSpec` as
    JSON.

    Args:
        servable: `Servable` of a fixed size.
        path: file to write.

    Raises:
        UserError: if tf2onnx cannot convert it.
    """
    import onnx
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    function = tf.function(servable.serve, input_signature=servable.signature)
    try:
        with _without_copies():
            model, _ = tf2onnx.convert.from_function(function, input_signature=servable.signature, opset=OPSET)
    except Exception as error:  # tf2onnx raises errors of many kinds
        raise UserError(f"tf2onnx cannot convert {servable.model.name!r}: {described(error)}") from None
    _bind_constants(model.graph, function.get_concrete_function())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    spec = servable.spec
    onnx.helper.set_model_props(model, {"labels": "\n".join(spec.class_names), "aa_keras": spec.as_json()})
    onnx.save(model, path)


@contextlib.contextmanager
def _without_copies():
    """Keeps tf2onnx from copying the graph with its weights before each optimizer pass, which takes half of its time.

    The copies are for passes that fail: without them, such a pass is an error instead of being left out.
    """
    name = "TF2ONNX_CATCH_ERRORS"
    before = os.environ.get(name)
    os.environ[name] = "FALSE"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _bind_constants(graph, function):
    """Turns inputs that are tensors of a layer, such as a mean, into constants; tf2onnx only does so for weights."""
    from onnx import numpy_helper

    values = {placeholder.name: tensor for tensor, placeholder in function.graph.captures}
    for value in [value for value in graph.input if value.name in values]:
        graph.initializer.append(numpy_helper.from_array(values[value.name].numpy(), value.name))
        graph.input.remove(value)


def load(path):
    """Returns the `Predictor` of a file that `write` wrote.

    Raises:
        UserError: if it is not such a file.
    """
    try:
        run = runtimes.onnx(path)
        spec = ServingSpec.from_json(run.session.get_modelmeta().custom_metadata_map["aa_keras"])
    except ModuleNotFoundError:  # the extra
        raise
    except UserError as error:
        raise UserError(f"path={path}: {error}") from None
    except Exception as error:  # ONNX Runtime raises errors of many kinds for other files
        raise UserError(
            f"path must be a file that `aa-keras export` wrote. Received: path={path}: {described(error)}"
        ) from None
    return Predictor(spec, run)
