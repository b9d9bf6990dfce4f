"""The tasks that a network can be trained for: `Task` is the interface, and each other file is a task."""

from aa_keras.tasks.classification import Classification
from aa_keras.tasks.detection import Detection
from aa_keras.tasks.evaluation_data import choose
from aa_keras.tasks.fine_tuning import resolved
from aa_keras.tasks.task import Task

__all__ = ["TASKS", "Task", "choose", "resolved", "task_for"]

TASKS: dict[str, type[Task]] = {"classification": Classification, "detection": Detection}


def task_for(config) -> Task:
    """Returns the task of a config."""
    return TASKS[config.task](config)
