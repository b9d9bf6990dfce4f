"""`config.batch_size="auto"`: the largest power of two whose step fits into memory."""

import gc

import keras

from aa_keras.errors import UserError, is_out_of_memory
from aa_keras.files import read_json
from aa_keras.recipes.fields import with_batch_size
from aa_keras.tasks import task_for
from aa_keras.training.memory import available_memory, training_memory
from aa_keras.training.optimization import compile_model
from aa_keras.training.run_directory import is_run

SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)


def chosen(config, distribution, directory, overwrite):
    """Returns a copy of a config with a number for the batch size; the config itself unless it is "auto".

    A run that resumes keeps the size that its directory has. Otherwise two steps are trained for each size, the largest
    first, until one does not run out of memory. On a CPU, which takes what it does not have and is killed for it, sizes
    are left out whose estimate exceeds the memory that is free.

    Args:
        config: a recipe's config, checked.
        distribution: `Distribution` of the run.
        directory: `RunDirectory` of the run.
        overwrite: whether a run in it is replaced.

    Raises:
        UserError: if not even the smallest batch fits.
    """
    if config.batch_size != "auto":
        return config
    if is_run(directory.path) and not overwrite:
        # A file without it is not from here, and the check of the directory says so.
        return with_batch_size(config, read_json(directory / "config.json").get("batch_size", SIZES[0]))
    task = task_for(with_batch_size(config, SIZES[0]))
    task.check_trainable()
    sizes = [size for size in SIZES if size <= task.training_examples and size % distribution.devices == 0]
    for size in sizes:
        if _fits(with_batch_size(config, size), task.dataset, distribution):
            print(f"config.batch_size=auto: {size}, the largest power of two up to {sizes[0]} whose step fits")
            return with_batch_size(config, size)
    raise UserError(
        f"config.batch_size='auto' found no batch that fits: not even one of {sizes[-1] if sizes else SIZES[-1]} "
        "examples. config.image_size, config.precision or a smaller network may help"
    )


def _fits(config, dataset, distribution):
    task = task_for(config)
    task.dataset = dataset
    try:
        with distribution.scope(), task.reading_errors():
            model = task.training_model()
            distribution.prepare(model)
            compile_model(model, task, 100)
            free = available_memory()
            if free is not None and training_memory(model).of_step(config.batch_size) > free:
                return False
            steps = min(2, task.training_examples // config.batch_size)
            batches = task.training_batches(range(1), steps, distribution.shard)
            model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
        return True
    except Exception as error:
        if is_out_of_memory(error):
            return False
        raise
    finally:
        model = None
        keras.backend.clear_session()  # so that the layers of the run get the same names as without this
        gc.collect()
