"""The estimate of attention's memory, against the peak of a training step on TensorFlow."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import keras
import pytest

from aa_keras.attention import AttentionSpec, attention_memory
from aa_keras.layers import AttentionAugmentedConv2D


def memory_of(layer, size):
    return attention_memory(layer.attention_spec(size), layer.implementation)


# Prints by how many bytes an image the gradient of some layers raises the peak of the process's memory.
MEASURE = """
import pathlib, re, sys
import keras, tensorflow as tf
from aa_keras.layers import AttentionAugmentedConv2D

implementation, height, width, number_of_layers, batch = sys.argv[1], *map(int, sys.argv[2:])
layers = [AttentionAugmentedConv2D(16, 3, implementation=implementation) for _ in range(number_of_layers)]
model = keras.Sequential([keras.Input((height, width, 16)), *layers])
inputs = tf.zeros((batch, height, width, 16))

@tf.function
def gradients(inputs):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs) ** 2)
    return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

def kilobytes(field):
    return int(re.search(field + r":\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text()).group(1))

gradients.get_concrete_function(inputs)
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now
before = kilobytes("VmRSS")
gradients(inputs)
print((kilobytes("VmHWM") - before) * 1024 / batch)
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the estimate is of TensorFlow")
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks are read from Linux")
@pytest.mark.parametrize(
    ("implementation", "size", "number_of_layers", "batch"),
    [
        pytest.param("dense", (32, 32), 1, 8, marks=pytest.mark.slow),
        ("dense", (20, 36), 4, 8),
        pytest.param("blockwise", (32, 32), 3, 8, marks=pytest.mark.slow),
        # Peaks of smaller maps differ by a half from run to run.
        pytest.param("blockwise", (96, 96), 1, 2, marks=pytest.mark.slow),
        pytest.param("blockwise", (96, 96), 2, 2, marks=pytest.mark.slow),
    ],
)
def test_the_estimate_is_within_a_quarter_of_the_peak(implementation, size, number_of_layers, batch):
    arguments = [implementation, *map(str, (*size, number_of_layers, batch))]
    root = pathlib.Path(__file__).parents[2]
    output = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True, cwd=root
    ).stdout
    memory = memory_of(AttentionAugmentedConv2D(16, 3, implementation=implementation), size)
    estimate = number_of_layers * memory.kept + memory.transient
    assert 0.75 * float(output) < estimate < 1.25 * float(output)


# Prints the peak of the process's memory in a training step of a network, in bytes an image.
MEASURE_NETWORK = """
import pathlib, re, sys
import keras, numpy as np
from aa_keras import applications

builder, size, batch = sys.argv[1], *map(int, sys.argv[2:])
arguments = {"depth": 16, "width": 2} if "Wide" in builder else {}
if builder == "AAResNet50":
    arguments = {"attention_pooling": 1}
model = getattr(applications, builder)(**arguments, input_shape=(size, size, 3), classes=10)
model.compile("sgd", "sparse_categorical_crossentropy")
images, labels = np.zeros((batch, size, size, 3), "float32"), np.zeros(batch, "int32")
model.train_on_batch(images[:1], labels[:1])
pathlib.Path("/proc/self/clear_refs").write_text("5")
model.train_on_batch(images, labels)
print(1024 * int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)) / batch)
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the estimate is of TensorFlow")
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks are read from Linux")
@pytest.mark.parametrize(
    ("builder", "size", "batch"), [("AAWideResNet", 32, 16), ("AAResNet50", 224, 8)], ids=["wide", "unpooled"]
)
def test_the_estimate_for_a_network_is_near_what_attention_adds_to_its_peak(builder, size, batch):
    from aa_keras import applications

    def peak(name):
        command = [sys.executable, "-c", MEASURE_NETWORK, name, str(size), str(batch)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    arguments = {"depth": 16, "width": 2} if builder == "AAWideResNet" else {"attention_pooling": 1}
    model = getattr(applications, builder)(**arguments, input_shape=(size, size, 3))
    memories = [
        memory_of(layer, layer.max_size) for layer in model.layers if isinstance(layer, AttentionAugmentedConv2D)
    ]
    estimate = sum(memory.kept for memory in memories) + max(memory.transient for memory in memories)
    added = peak(builder) - peak(builder.removeprefix("AA"))
    print(f"added {added / 2**20:.1f} MiB an image, estimated {estimate / 2**20:.1f}")
    assert 0.7 * estimate < added < 1.5 * estimate


def test_dense_grows_with_the_fourth_power_of_the_side_and_blocks_with_the_second():
    def estimate(implementation, side):
        memory = memory_of(AttentionAugmentedConv2D(16, 3, implementation=implementation), (side, side))
        return memory.kept + memory.transient

    assert 15 < estimate("dense", 128) / estimate("dense", 64) < 16.1
    assert estimate("blockwise", 128) / estimate("blockwise", 64) < 4
    assert estimate("pallas", 64) < estimate("blockwise", 64) < estimate("dense", 64)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (32, {"dense": 2388, "blockwise": 420, "fused": 708, "pallas": 348, "flex": 348}),
        (64, {"dense": 16508, "blockwise": 620, "fused": 1220, "pallas": 604, "flex": 604}),
    ],
)
def test_what_a_query_keeps_in_bfloat16(side, expected):
    """The table of docs/performance.md."""
    spec = AttentionSpec(8, side, side, key_dim=20, value_dim=2, relative=True, dtype="bfloat16")
    kept = {name: attention_memory(spec, name).kept / (8 * side**2) for name in expected}
    assert kept == expected
    total = {name: sum(dataclasses.astuple(attention_memory(spec, name))) for name in expected}
    assert total["pallas"] < total["fused"] < total["blockwise"] < total["dense"]


def test_pooling_and_strides_are_what_attention_sees():
    whole = memory_of(AttentionAugmentedConv2D(16, 3), (14, 14))
    assert memory_of(AttentionAugmentedConv2D(16, 3, strides=2), (28, 28)) == whole
    assert memory_of(AttentionAugmentedConv2D(16, 3, attention_pooling=2), (28, 28)) == whole
    assert memory_of(AttentionAugmentedConv2D(16, 3, attention_pooling=4), (56, 56)) == whole
