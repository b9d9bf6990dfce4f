"""Run directories without a training."""

import json

from aa_keras import recipes
from aa_keras.commands.trained import config_of_run
from aa_keras.recipes.fields import as_dictionary
from aa_keras.tasks import task_for

CLASSES = ("cat", "dog", "Ölbaum")


def finished_run(folder, model, **fields):
    """The folder of a finished run of image_folder, whose images are gone."""
    config = recipes.default_config()
    config.update(name="run", dataset="image_folder", data_dir="/gone", builder="AAWideResNet", epochs=1, batch_size=2)
    config.update(learning_rate_per_256=0.2, image_size=24)
    config.update(builder_arguments={"depth": 10, "width": 1, "attention_stages": (1,)})
    config.update(fields)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(as_dictionary(config)))
    data = {"class_names": list(CLASSES), "training_images": 9, "validation_images": 0, "test_images": 9}
    (folder / "data.json").write_text(json.dumps(data))
    model.save(folder / "model.keras")
    return folder


def folder_run(folder, model, data_dir, class_names=None, **fields):
    """The folder of a finished run of image_folder, whose images are in `data_dir` unless it has `class_names`."""
    finished_run(folder, model, data_dir=str(data_dir), **fields)
    config = config_of_run(folder)
    data = {"class_names": class_names, "training_images": 9, "validation_images": 0, "test_images": 9}
    data = task_for(config).fingerprint if class_names is None else data
    (folder / "data.json").write_text(json.dumps(data))
    return folder
