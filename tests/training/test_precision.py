"""Training in each precision, on the current backend: what is in half precision, what is not, and that it learns."""

import re
import types

import keras
import numpy as np
import pytest
from helpers.layers import slow_on_jax
from helpers.training import tiny_config

from aa_keras.errors import UserError
from aa_keras.recipes.checks import check_backend
from aa_keras.tasks import task_for
from aa_keras.training import precision, train_and_evaluate
from aa_keras.training.optimization import compile_model

COMPUTE = {"float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


def compiled(precision, **fields):
    config = tiny_config(precision=precision, **fields)
    task = task_for(config)
    model = task.training_model()
    compile_model(model, task, 100)
    return model


@pytest.mark.backend
@pytest.mark.parametrize("precision", COMPUTE)
def test_layers_compute_in_it_while_weights_and_logits_are_float32(precision):
    model = compiled(precision)
    convolutions = [layer for layer in model.layers if "conv" in layer.name]
    assert {layer.compute_dtype for layer in convolutions} == {COMPUTE[precision]}
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in model.weights} == {"float32"}
    assert model.get_layer("predictions").compute_dtype == "float32"
    images = np.zeros((2, 8, 8, 1), "float32")
    assert keras.backend.standardize_dtype(model.predict_on_batch(images).dtype) == "float32"
    # Also for numbers that half precision cannot represent.
    dense = model.get_layer("predictions")
    dense.set_weights([np.zeros(dense.kernel.shape), np.linspace(1000, 1000.1, 10)])
    logits = model.predict_on_batch(images)[0]
    assert len(np.unique(logits)) == 10


@pytest.mark.backend
@pytest.mark.parametrize("precision", COMPUTE)
def test_only_float16_scales_its_loss(precision):
    assert isinstance(compiled(precision).optimizer, keras.optimizers.LossScaleOptimizer) == (
        precision == "mixed_float16"
    )


@pytest.mark.backend
def test_a_step_that_overflows_is_left_out_and_the_scale_halved():
    model = compiled("mixed_float16")
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)

    def state():
        return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.trainable_variables]

    before = state()
    scale = float(keras.ops.convert_to_numpy(optimizer.dynamic_scale))
    model.train_on_batch(np.full((4, 8, 8, 1), 1e9, "float32"), np.eye(10)[:4])  # infinite in float16
    assert float(keras.ops.convert_to_numpy(optimizer.dynamic_scale)) == scale / 2
    assert all(np.array_equal(now, was) for now, was in zip(state(), before, strict=True))
    optimizer.iterations.assign(50)  # where there is a learning rate
    model.train_on_batch(np.random.default_rng(0).normal(size=(4, 8, 8, 1)), np.eye(10)[:4])
    assert not any(np.array_equal(now, was) for now, was in zip(state(), before, strict=True))


@pytest.mark.backend
@slow_on_jax
@pytest.mark.parametrize("precision", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_a_run_learns_what_one_in_float32_does(precision, finished, tmp_path):
    config = tiny_config(precision=precision, export=False)
    result = train_and_evaluate(config, tmp_path / "run")
    assert abs(result["cross_entropy"] - finished[1]["cross_entropy"]) < 0.05
    # It resumes from its checkpoints, with the scale of the loss.
    (tmp_path / "run" / "result.json").unlink()
    assert train_and_evaluate(config, tmp_path / "run")["cross_entropy"] == result["cross_entropy"]


@pytest.mark.backend
@pytest.mark.slow
def test_a_run_that_measures_precision_first_is_the_same_run(finished, tmp_path, capsys):
    config = tiny_config(export=False, benchmark_precision=True)
    result = train_and_evaluate(config, tmp_path / "run")
    words = (
        r"A step takes [\d.e-]+ s in float32 and [\d.e-]+ s in mixed_bfloat16: [\d.]+ times as fast here\. This run is"
    )
    assert re.search(words, capsys.readouterr().out)
    assert result["cross_entropy"] == finished[1]["cross_entropy"]
    # Whether it was measured is not part of what the run is.
    assert train_and_evaluate(tiny_config(export=False), tmp_path / "run")["cross_entropy"] == result["cross_entropy"]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA and PyTorch on CPUs are another matter")
@pytest.mark.parametrize(
    ("flags", "flops", "fields", "expected"),
    [
        (["avx2", "avx512_bf16"], 1e9, {}, "Hint: This CPU has AVX512-BF16 instructions. --config.precision="),
        (["amx_bf16", "avx512_bf16"], 1e9, {}, "Hint: This CPU has AMX instructions."),
        (["avx512_bf16"], 1e7, {}, None),
        (["avx512_bf16"], 1e9, {"precision": "mixed_bfloat16"}, None),
        (["avx2", "avx512f"], 1e9, {}, None),
        ([], 1e9, {}, None),
    ],
)
def test_where_bfloat16_may_be_faster_a_line_says_so(flags, flops, fields, expected, monkeypatch):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    hint = precision.hint(tiny_config(**fields), types.SimpleNamespace(flops=flops))
    assert hint is None if expected is None else hint.startswith(expected)


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="which shares none")
def test_what_shares_a_batch_is_not_measured():
    distribution = "mirrored" if keras.backend.backend() == "tensorflow" else "data_parallel"
    with pytest.raises(UserError, match=r"config\.benchmark_precision must be False if several devices"):
        check_backend(tiny_config(distribution=distribution, benchmark_precision=True))
