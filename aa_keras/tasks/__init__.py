"""The tasks that a network can be trained for: `Task` is the interface, a file each has the tasks."""

from aa_keras.errors import UserError
from aa_keras.tasks import fine_tuning
from aa_keras.tasks.classification import Classification
from aa_keras.tasks.detection import Detection
from aa_keras.tasks.evaluation_data import choose
from aa_keras.tasks.task import TASKS, Task

__all__ = ["TASKS", "Classification", "Detection", "Task", "choose", "resolved", "task_for", "task_type"]


def task_type(config) -> type[Task]:
    """Returns the class of the task of a config, or raises UserError for a task that is not known."""
    if config.task not in TASKS:
        raise UserError(
            f"config.task must be one of {', '.join(TASKS)}, or a task of your own, whose file must be imported first. "
            f"Received: task={config.task!r:.100}"
        )
    return TASKS[config.task]


def task_for(config) -> Task:
    """Returns the task of a config."""
    return task_type(config)(config)


def resolved(config):
    """Returns a copy of a config with the fields that its weights decide; the config itself if it has no weights."""
    return fine_tuning.resolved(config, task_type(config).weights_fields)
