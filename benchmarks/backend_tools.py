"""What the tools of each backend do with a plain and an augmented network: docs/backends.md has the table.

    python benchmarks/backend_tools.py                      # some minutes; backends that are not installed are left out

Each tool runs on WideResNet and AAWideResNet of depth 10, the latter with each implementation of attention, and each
backend in a process of its own. Results are compared with the network's own outputs or with finite differences.
"""

import importlib.util
import json
import os
import pathlib
import sys
import tempfile
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

BACKENDS = flags.DEFINE_list("backends", ["tensorflow", "jax", "torch"], "Backends of Keras.")
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of backend_tools.json.")
CASE = flags.DEFINE_string("case", None, "Tries the tools of the backend in this process: for internal use.")

NETWORKS = {"plain": ("WideResNet", {})}
NETWORKS |= {name: ("AAWideResNet", {"implementation": name}) for name in ("auto", "dense", "blockwise")}


def main(_):
    if CASE.value is not None:
        print(json.dumps(outcomes()))
        return
    from measure import in_a_process

    rows = []
    for backend in BACKENDS.value:
        if importlib.util.find_spec(backend) is None:
            print(f"{backend} is not installed")
            continue
        os.environ["KERAS_BACKEND"] = backend
        outcome = in_a_process(__file__, {})
        of_backend = outcome.get("rows", [{"backend": backend, **outcome}])
        print(*of_backend, sep="\n", flush=True)
        rows += of_backend
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "backend_tools.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def outcomes():
    """Returns the outcome of each tool of the backend: "yes", or the name of the error."""
    import keras
    import measure as measuring
    import numpy as np
    from keras import ops

    from aa_keras import applications

    backend = keras.backend.backend()
    tools = {"tensorflow": tensorflow_tools, "jax": jax_tools, "torch": torch_tools}[backend]()
    images = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32"))
    rows = {name: {"backend": backend, "tool": name, "device": measuring.device()} for name in tools}
    for network, (builder, arguments) in NETWORKS.items():
        for name, tool in tools.items():
            model = getattr(applications, builder)(10, 1, input_shape=(8, 8, 3), classes=5, **arguments)
            for layer in model.layers:  # smooth, so that finite differences are exact
                if isinstance(layer, keras.layers.ReLU):
                    layer.call = ops.silu
            model(images)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    error = float(tool(model, images))
                rows[name][network] = "yes" if error < 0.05 else f"differs by {error:.2g}"
            except Exception as failure:  # what is to be seen
                rows[name][network] = type(failure).__name__
                print(network, name, " ".join(str(failure).split())[:300], file=sys.stderr)
    return {"rows": list(rows.values())}


def difference(found, expected):
    """Returns the largest difference, relative to the largest number."""
    import numpy as np
    from keras import ops

    tensors = (ops.stop_gradient(ops.convert_to_tensor(each)) for each in (found, expected))
    found, expected = map(ops.convert_to_numpy, tensors)
    return np.abs(found - expected).max() / np.abs(expected).max()


def slope(function, images):
    """Returns the derivative of a function along its argument, by differences."""
    step = 1e-3
    return (function(images * (1 + step)) - function(images * (1 - step))) / (2 * step)


def tensorflow_tools():
    import tensorflow as tf

    def gradient(model):
        def of_images(images):
            with tf.GradientTape() as tape:
                tape.watch(images)
                loss = tf.reduce_sum(model(images) ** 2)
            return tape.gradient(loss, images)

        return of_images

    def forward_mode(model, images):
        with tf.autodiff.ForwardAccumulator(images, images) as accumulator:
            outputs = model(images)
        return difference(accumulator.jvp(outputs), slope(model, images))

    def second_order(model, images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            along = tf.reduce_sum(gradient(model)(images) * tf.stop_gradient(images))
        return difference(tape.gradient(along, images), slope(gradient(model), images))

    def batch_jacobian(model, images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = model(images)
        along = tf.einsum("bohwc,bhwc->bo", tape.batch_jacobian(outputs, images), images)
        return difference(along, slope(model, images))

    def vectorized_map(model, images):
        return difference(tf.vectorized_map(lambda image: model(image[None])[0], images), model(images))

    def xla(model, images):
        return difference(tf.function(gradient(model), jit_compile=True)(images), gradient(model)(images))

    def saved_model(model, images):
        with tempfile.TemporaryDirectory() as folder:
            model.export(folder, verbose=False)
            loaded = tf.saved_model.load(folder)
            return difference(loaded.serve(images), model(images))

    return {
        "`tf.GradientTape` within another": second_order,
        "`tf.autodiff.ForwardAccumulator`": forward_mode,
        "`GradientTape.batch_jacobian`": batch_jacobian,
        "`tf.vectorized_map`": vectorized_map,
        "`tf.function(jit_compile=True)`": xla,
        "`model.export` to a SavedModel": saved_model,
    }


def jax_tools():
    import jax
    import jax.numpy as jnp

    def function_of(model):
        state = [
            [variable.value for variable in group]
            for group in (model.trainable_variables, model.non_trainable_variables)
        ]
        return jax.jit(lambda images: model.stateless_call(*state, images)[0])

    def jvp(model, images):
        call = function_of(model)
        return difference(jax.jvp(call, (images,), (images,))[1], slope(call, images))

    def jacobians(model, images):
        call = function_of(model)
        return difference(jax.jacfwd(call)(images), jax.jacrev(call)(images))

    def second_order(model, images):
        gradient = jax.grad(lambda images: jnp.sum(function_of(model)(images) ** 2))
        return difference(jax.jvp(gradient, (images,), (images,))[1], slope(gradient, images))

    def vmap(model, images):
        call = function_of(model)
        return difference(jax.vmap(lambda image: call(image[None])[0])(images), call(images))

    def checkpoint(model, images):
        call = function_of(model)
        first, second = (jax.grad(lambda images, f=f: jnp.sum(f(images) ** 2)) for f in (call, jax.checkpoint(call)))
        return difference(second(images), first(images))

    def export(model, images):
        call = function_of(model)
        (batch,) = jax.export.symbolic_shape("batch")
        exported = jax.export.export(call)(jax.ShapeDtypeStruct((batch, *images.shape[1:]), images.dtype))
        return difference(jax.export.deserialize(exported.serialize()).call(images), call(images))

    return {
        "`jax.jvp`": jvp,
        "`jax.jacfwd`, `jax.jacrev`": jacobians,
        "`jax.jvp` of `jax.grad`": second_order,
        "`jax.vmap`": vmap,
        "`jax.checkpoint`": checkpoint,
        "`jax.export`, any batch": export,
    }


def torch_tools():
    import onnxruntime
    import torch

    def loop(model, images):
        optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.1), []
        for _ in range(20):
            optimizer.zero_grad()
            probabilities = model(images, training=True)
            losses.append(-torch.log(probabilities[0, 0] * probabilities[1, 1]))
            losses[-1].backward()
            optimizer.step()
        return 0.0 if losses[-1] < 0.5 * losses[0] else 1.0

    def state_dict(model, images):
        expected = model.eval()(images).detach()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        with torch.no_grad():
            for weight in model.parameters():
                weight.zero_()
        model.load_state_dict(state)
        return difference(model(images), expected)

    def export(model, images):
        return difference(torch.export.export(model.eval(), (images,)).module()(images), model(images))

    def export_of_any_batch(model, images):
        shapes = (({0: torch.export.Dim("batch")},),)
        exported = torch.export.export(model.eval(), (images,), dynamic_shapes=shapes).module()
        images = images.repeat(3, 1, 1, 1)
        return difference(exported(images), model(images))

    def onnx(model, images):
        with tempfile.TemporaryDirectory() as folder:
            model.export(f"{folder}/model.onnx", format="onnx", verbose=False)
            session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
            images = images.repeat(3, 1, 1, 1).cpu()
            return difference(session.run(None, {session.get_inputs()[0].name: images.numpy()})[0], model(images))

    def compiled(model, images, **arguments):
        model.eval()
        torch._dynamo.reset()  # which keeps what it compiled in parts
        return difference(torch.compile(model, backend="aot_eager", **arguments)(images), model(images))

    def second_order(model, images):
        def gradient(images):
            images = images.detach().requires_grad_()
            return torch.autograd.grad(model(images).square().sum(), images, create_graph=True)[0], images

        along, variable = gradient(images)
        (curvature,) = torch.autograd.grad((along * images).sum(), variable)
        return difference(curvature, slope(lambda images: gradient(images)[0], images))

    def jvp(model, images):
        return difference(torch.func.jvp(model, (images,), (images,))[1], slope(model, images))

    def vmap(model, images):
        return difference(torch.func.vmap(lambda image: model(image[None])[0])(images), model(images))

    return {
        "a loop with `torch.optim`": loop,
        "`state_dict`, `load_state_dict`": state_dict,
        "`torch.export`": export,
        "`torch.export`, any batch": export_of_any_batch,
        "`model.export` to ONNX": onnx,
        "`torch.compile`": compiled,
        "`torch.compile(fullgraph=True)`": lambda *arguments: compiled(*arguments, fullgraph=True),
        "`torch.autograd.grad` of a gradient": second_order,
        "`torch.func.jvp`": jvp,
        "`torch.func.vmap`": vmap,
    }


if __name__ == "__main__":
    app.run(main)
