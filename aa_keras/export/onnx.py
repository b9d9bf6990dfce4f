"""ONNX files, for ONNX Runtime: how they are written, and asked."""

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
    """Writes an ONNX file of raw images of the network's own size, in batches of any number.

    The names of the classes are the metadata property "labels", a line each; "aa_keras" is the `ServingSpec` as JSON.

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
    except Exception as error:  # of tf2onnx's, of many kinds
        raise UserError(f"tf2onnx does not convert {servable.model.name!r}: {described(error)}") from None
    _bind_constants(model.graph, function.get_concrete_function())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    spec = servable.spec
    onnx.helper.set_model_props(model, {"labels": "\n".join(spec.class_names), "aa_keras": spec.as_json()})
    onnx.save(model, path)


@contextlib.contextmanager
def _without_copies():
    """Keeps tf2onnx from copying the graph, weights included, before each pass of its optimizer, for half of its time.

    The copies are for passes that fail, which then are an error instead of left out.
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
    """Makes constants of those inputs that are tensors of a layer, such as a mean: tf2onnx only does so for weights."""
    from onnx import numpy_helper

    values = {placeholder.name: tensor for tensor, placeholder in function.graph.captures}
    for value in [value for value in graph.input if value.name in values]:
        graph.initializer.append(numpy_helper.from_array(values[value.name].numpy(), value.name))
        graph.input.remove(value)


def load(path):
    """Returns the `Predictor` of a file that `write` wrote.

    Raises:
        UserError: if it is none.
    """
    try:
        run = runtimes.onnx(path)
        spec = ServingSpec.from_json(run.session.get_modelmeta().custom_metadata_map["aa_keras"])
    except ModuleNotFoundError:  # the extra
        raise
    except Exception as error:  # of ONNX Runtime's, of many kinds, for what a file may hold
        raise UserError(
            f"--onnx must be a file that `aa-keras export` wrote. Received: --onnx={path}: {described(error)}"
        ) from None
    return Predictor(spec, run)
