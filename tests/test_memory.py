"""The estimate of attention's memory, against the peak of a training step on TensorFlow."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest

from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.memory import attention_memory

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
        ("dense", (32, 32), 1, 8),
        ("dense", (20, 36), 4, 8),
        ("blockwise", (32, 32), 3, 8),
        ("blockwise", (56, 40), 2, 4),
    ],
)
def test_the_estimate_is_within_a_quarter_of_the_peak(implementation, size, number_of_layers, batch):
    arguments = [implementation, *map(str, (*size, number_of_layers, batch))]
    root = pathlib.Path(__file__).parents[1]
    output = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True, cwd=root
    ).stdout
    memory = attention_memory(AttentionAugmentedConv2D(16, 3, implementation=implementation), size)
    estimate = number_of_layers * memory.kept + memory.transient
    assert 0.75 * float(output) < estimate < 1.25 * float(output)


def test_dense_grows_with_the_fourth_power_of_the_side_and_blocks_with_the_second():
    def estimate(implementation, side):
        memory = attention_memory(AttentionAugmentedConv2D(16, 3, implementation=implementation), (side, side))
        return memory.kept + memory.transient

    assert 15 < estimate("dense", 128) / estimate("dense", 64) < 16.1
    assert estimate("blockwise", 128) / estimate("blockwise", 64) < 8  # the logits of the axes grow as the third
    assert estimate("fused", 64) < estimate("blockwise", 64) < estimate("dense", 64)


def test_pooling_and_strides_are_what_attention_sees():
    whole = attention_memory(AttentionAugmentedConv2D(16, 3), (14, 14))
    assert attention_memory(AttentionAugmentedConv2D(16, 3, strides=2), (28, 28)) == whole
    assert attention_memory(AttentionAugmentedConv2D(16, 3, attention_pooling=2), (28, 28)) == whole
    assert attention_memory(AttentionAugmentedConv2D(16, 3, attention_pooling=4), (56, 56)) == whole
