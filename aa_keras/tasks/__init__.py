"""What a network can be trained for.

A task is an object made from a config, and what differs between one task and another. `aa_keras.training` and
`aa_keras.commands` ask it, and know nothing else of images, classes or boxes:

- the data: `fingerprint`, `data_differences`, `training_examples`, `training_batches`, `validation_batches`,
  `reading_errors` and `skipped`;
- the network: `training_model`, `compile`, `inference_model`, `headline`;
- what comes of it: `best_metric`, `evaluate`, `evaluate_saved_model`, `result`, `RESULT_FIELDS`, `describe`,
  `plot_curves`, `report`, `export`.
"""

from aa_keras.tasks.classification import Classification

TASKS = {"classification": Classification}


def task_for(config):
    """Returns the task of a config."""
    return TASKS[config.task](config)
