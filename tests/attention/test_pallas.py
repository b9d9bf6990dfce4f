"""The kernels in Pallas as JAX has them: mapped, lowered for GPUs, and shared by devices."""

import math
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("JAX's own kernels", allow_module_level=True)

import jax
import jax.numpy as jnp
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

from aa_keras.attention.pallas import pallas_attention, tiling

pytestmark = pytest.mark.backend


def inputs_of(size, batch=3, heads=2, dtype="float32", key_dim=20, value_dim=3):
    """Queries, keys, values, and logits of rows and columns, in float32."""
    generator = np.random.default_rng(0)
    height, width = size
    lengths = (key_dim, key_dim, value_dim, height, width)
    arrays = [generator.normal(size=(batch, heads, height * width, length)) for length in lengths]
    return [jnp.asarray(array, dtype if index < 3 else "float32") for index, array in enumerate(arrays)]


def attend(*inputs, **options):
    return pallas_attention(*inputs[:3], inputs[3:], **options)


def loss(*inputs):
    return jnp.sum(attend(*inputs) ** 2)


def assert_near(ours, expected):
    for found, right in zip(ours, expected, strict=True):
        assert np.abs(right).max() > 0.1
        np.testing.assert_allclose(found, right, atol=2e-5)


@pytest.mark.parametrize("mapped", [(0, 0, 0, 0, 0), (0, None, None, 0, None)], ids=["all", "queries and rows"])
def test_vmap_is_a_loop(mapped):
    several = inputs_of((4, 5))
    inputs = [array[:, None] if axis == 0 else array[:1] for array, axis in zip(several, mapped, strict=True)]
    gradients = jax.grad(loss, argnums=(0, 1, 2, 3, 4))
    ours = jax.jit(jax.vmap(gradients, in_axes=mapped))(*inputs)
    each = [
        gradients(*(array[number] if axis == 0 else array for array, axis in zip(inputs, mapped, strict=True)))
        for number in range(3)
    ]
    assert_near(ours, [jnp.stack(of_input) for of_input in zip(*each, strict=True)])


def test_it_can_be_computed_again_in_the_backward_pass():
    inputs = inputs_of((4, 5))
    ours, expected = (
        jax.jit(jax.grad(lambda *inputs, each=each: jnp.sum(each(*inputs) ** 2), argnums=(0, 3)))(*inputs)
        for each in (jax.checkpoint(attend), attend)
    )
    assert_near(ours, expected)


def test_a_batch_of_any_size_is_refused():
    (batch,) = jax.export.symbolic_shape("batch")
    inputs = [jax.ShapeDtypeStruct((batch, *array.shape[1:]), array.dtype) for array in inputs_of((4, 5))]
    with pytest.raises(ValueError, match=r"needs a batch of a known size.* Received: a batch of batch"):
        jax.export.export(jax.jit(attend))(*inputs)


def lowered(size, dtype, key_dim, value_dim, batch=16):
    """The text of the gradient of attention, lowered for GPUs of NVIDIA."""
    blocks = tiling(*size, max(key_dim, value_dim), interpret=False)
    inputs = jax.eval_shape(lambda: inputs_of(size, batch, 8, dtype, key_dim, value_dim))

    def loss(*inputs):
        return jnp.sum(attend(*inputs, blocks=blocks).astype("float32"))

    gpu = AbstractMesh(
        (1,), ("images",), abstract_device=AbstractDevice("NVIDIA H100", num_cores=None, platform="cuda")
    )
    with use_abstract_mesh(gpu):
        traced = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3, 4))).trace(*inputs)
        return traced.lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize(
    ("size", "dtype", "key_dim", "value_dim"),
    [
        ((32, 32), "bfloat16", 20, 2),
        ((14, 14), "bfloat16", 20, 3),
        ((7, 7), "float16", 20, 6),
        ((33, 17), "float32", 40, 64),
        ((3, 200), "bfloat16", 1, 256),
    ],
)
def test_it_is_lowered_for_gpus(size, dtype, key_dim, value_dim):
    text = lowered(size, dtype, key_dim, value_dim)
    assert len(re.findall(r"custom_call @\S*triton", text)) == 3
    print(f"{size}, {dtype}: {len(text):,} characters")
    # No array has more numbers for a query than channels, or rows or columns; its logits would be `math.prod(size)`.
    shapes = re.findall(r"tensor<(\d+(?:x\d+)*)x[a-z]", text)
    numbers = max(math.prod(map(int, shape.split("x"))) for shape in shapes) / (16 * 8 * math.prod(size))
    strips = -(-size[1] // 64)
    assert numbers == max(key_dim, value_dim, size[0] * strips, size[1]) < math.prod(size)


# Gradients on two devices, each with half of the images: their error, how they are shared, whether some are gathered.
SHARED = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from test_pallas import inputs_of, loss

inputs = inputs_of((4, 5), batch=4)
gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3, 4)))
images = NamedSharding(Mesh(np.array(jax.devices()), ("batch",)), PartitionSpec("batch"))
shared = [jax.device_put(array, images) for array in inputs]
ours = gradients(*shared)
print(max(float(abs(found - right).max()) for found, right in zip(ours, gradients(*inputs))))
print([array.sharding.spec[0] for array in ours])
print("all-gather" in gradients.lower(*shared).compile().as_text())
"""


def test_devices_share_the_images():
    folder = pathlib.Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(folder.parents[1])}
    command = [sys.executable, "-c", SHARED]
    program = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=True)
    error, axes, gathered = program.stdout.splitlines()
    assert float(error) < 1e-5
    assert axes == str(["batch"] * 5)
    assert gathered == "False"
