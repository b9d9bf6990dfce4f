"""Optimizer, schedule and weight decay of a recipe."""

import keras


def compile_model(model, task, steps):
    """Compiles a model for a task with `steps` training steps in all."""
    config = task.config
    multipliers = task.prepare(model)
    add_weight_decay(model, config.weight_decay)
    if set(multipliers.values()) <= {1.0}:
        optimizer = _optimizer(config, learning_rate_schedule(config, steps), config.clip_norm)
    else:
        optimizer = _optimizer_of_several_rates(config, steps, multipliers)
    jit_compile = config.jit_compile or "auto" if keras.backend.backend() == "jax" else config.jit_compile
    task.compile(model, optimizer, jit_compile)


def _optimizer(config, schedule, clip_norm=0.0):
    options = {"use_ema": True, "ema_momentum": config.ema_momentum} if config.ema_momentum else {}
    if clip_norm:
        options["global_clipnorm"] = clip_norm
    if config.optimizer == "adam":
        return keras.optimizers.Adam(schedule, **options)
    return keras.optimizers.SGD(schedule, momentum=config.momentum, **options)


def _optimizer_of_several_rates(config, steps, multipliers):
    """Returns an optimizer with a learning rate factor for each variable.

    Args:
        config: a recipe's config.
        steps: number of steps of the whole run.
        multipliers: dictionary from the variables' paths to these factors.
    """
    optimizers = {
        multiplier: _optimizer(config, learning_rate_schedule(config, steps, multiplier))
        for multiplier in sorted(set(multipliers.values()))
    }
    return SeveralRates(lambda variable: optimizers[multipliers[variable.path]], config.clip_norm)


class SeveralRates(keras.optimizers.MultiOptimizer):
    """Optimizers with several learning rates, of which it shows the highest, with all gradients clipped together.

    Args:
        optimizer_of: function of a variable that returns its optimizer.
        clip_norm: largest norm of all gradients, to which they are scaled down; 0 for none.
    """

    def __init__(self, optimizer_of, clip_norm=0.0):
        super().__init__(optimizer_of)
        self.clip_norm = clip_norm

    @property
    def learning_rate(self):
        return max((optimizer.learning_rate for optimizer in self.optimizers), key=float)

    def apply(self, grads, trainable_variables=None):
        if self.clip_norm:
            squares = [keras.ops.sum(keras.ops.square(gradient)) for gradient in grads]
            norm = keras.ops.sqrt(sum(squares))
            scale = self.clip_norm / keras.ops.maximum(norm, self.clip_norm)
            grads = [gradient * scale for gradient in grads]
        super().apply(grads, trainable_variables)


def learning_rate_schedule(config, steps, multiplier=1.0):
    """Returns the schedule of a recipe, which depends on the step alone, so that a resumed run continues it.

    It is the paper's (sections 4.1 and 4.2): linear warm-up to learning_rate_per_256 * batch_size / 256, then a cosine
    to zero, or, if the recipe has `decay_epochs`, a division by 10 at each of them.

    Args:
        config: a recipe's config.
        steps: number of steps of the whole run.
        multiplier: factor of all rates.
    """
    warmup_steps = round(config.warmup_fraction * steps)
    rate = multiplier * config.learning_rate_per_256 * config.batch_size / 256
    if config.decay_epochs:
        boundaries = [round(epoch * steps / config.epochs) for epoch in config.decay_epochs]
        rates = [rate / 10**decays for decays in range(len(boundaries) + 1)]
        return LinearWarmup(keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates), warmup_steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else rate,
        decay_steps=max(steps - warmup_steps, 1),
        warmup_target=rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


@keras.saving.register_keras_serializable("aa_keras")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule with a linear warm-up before it.

    Args:
        schedule: the schedule, a `keras.optimizers.schedules.LearningRateSchedule`.
        warmup_steps: number of steps of the warm-up, at least 0.
    """

    def __init__(self, schedule, warmup_steps):
        super().__init__()
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        share = keras.ops.cast(step, "float32") / max(self.warmup_steps, 1)
        return self.schedule(step) * (keras.ops.minimum(share, 1.0) if self.warmup_steps else 1.0)

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "warmup_steps": self.warmup_steps,
        }

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["warmup_steps"])


def add_weight_decay(model, weight_decay):
    """Adds weight_decay / 2 times the squared kernels of convolutions and dense layers to a model's loss.

    This is the weight decay of the paper's time, part of the gradient that momentum accumulates. The decay of
    `keras.optimizers.SGD(weight_decay=...)` bypasses momentum, and is ten times weaker at a momentum of 0.9. Biases,
    batch normalization and tables of positions do not decay.
    """
    if weight_decay:
        for variable in model.trainable_variables:
            if variable.name == "kernel":
                variable.regularizer = keras.regularizers.L2(weight_decay / 2)
