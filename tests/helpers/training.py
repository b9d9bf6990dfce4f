"""A recipe that is small enough to be run in tests."""

import keras

from aa_keras.recipes import default_config

# The flag that the digits recipe needs on backends that cannot export.
EXPORT = f"--config.export={keras.backend.backend() == 'tensorflow'}"


def tiny_config(**fields):
    """Two epochs of three steps on the digits, with everything that a recipe can ask for."""
    config = default_config()
    config.update(name="tiny", dataset="digits", crop_padding=1, builder="AAWideResNet", seed=5, epochs=2)
    config.update(steps_per_epoch=3, batch_size=50, learning_rate_per_256=0.5, weight_decay=1e-3)
    config.export = keras.backend.backend() == "tensorflow"
    config.update(builder_arguments={"depth": 10, "width": 1, "num_heads": 2, "attention_stages": (3,)})
    config.update(fields)
    return config
