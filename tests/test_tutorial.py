"""The tutorial runs, with very little training, and writes its files."""

import pathlib
import re
import runpy

import numpy as np
import pytest
import tensorflow as tf

TUTORIAL = pathlib.Path(__file__).parents[1] / "docs" / "tutorial.py"


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TUTORIAL_EPOCHS", "1")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(TUTORIAL))
    words = capsys.readouterr().out
    assert re.search(r"At 16x16, an epoch of fine-tuning: \d", words)
    assert "tutorial: digits.keras, explorer.html, grad_cam.png, heads.png, saved_model" in words
    assert names["scores"]["stage1_block1_conv1"].shape == (1, 4, 16, 16, 16, 16)
    served = tf.saved_model.load("tutorial/saved_model").signatures["serving_default"]
    probabilities = served(images=tf.constant(names["large_pixels"][:3]))["probabilities"].numpy()
    expected = names["large"](names["large_images"][:3])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
