"""Optimizer, schedule and weight decay of a recipe."""

import keras

from aa_keras.errors import UserError


def compile_model(model, task, steps):
    """Compiles a model for a task with `steps` training steps in all."""
    jit_compile = task.config.jit_compile
    if keras.backend.backend() == "jax":
        jit_compile = jit_compile or "auto"
    task.compile(model, optimizer_for(model, task.prepare(model), task.config, steps), jit_compile)


def optimizer_for(model, multipliers, config, steps):
    """Returns the optimizer of a recipe, and adds the weight decay that is a part of the loss to the model.

    Args:
        model: the model.
        multipliers: dictionary from the paths of the variables that are trained to factors of their learning rates.
        config: a recipe's config.
        steps: number of steps of the whole run.
    """
    is_decoupled = config.optimizer == "adamw"
    if not is_decoupled:
        add_weight_decay(model, config.weight_decay)
    not_decayed = [variable for variable in model.trainable_variables if not _decays(variable)]
    has_one_rate = set(multipliers.values()) <= {1.0}
    optimizers = {}
    for factor in sorted({1.0} if has_one_rate else set(multipliers.values())):
        schedule = learning_rate_schedule(config, steps, factor)
        optimizers[factor] = _optimizer(config, schedule, config.clip_norm if has_one_rate else 0.0)
        if is_decoupled:
            optimizers[factor].exclude_from_weight_decay(not_decayed)
    if has_one_rate:
        return optimizers[1.0]
    if config.clip_norm and config.gradient_accumulation_steps > 1:
        raise UserError(
            "config.clip_norm must be 0 with config.gradient_accumulation_steps if parts of the network learn at "
            f"several rates. Received: clip_norm={config.clip_norm}"
        )
    return SeveralRates(lambda variable: optimizers[multipliers[variable.path]], config.clip_norm)


def _optimizer(config, schedule, clip_norm):
    accumulated = config.gradient_accumulation_steps
    options = {}
    if accumulated > 1:
        options["gradient_accumulation_steps"] = accumulated
    if config.ema_momentum:
        # Keras averages the weights after each step, whether it has updated them or not.
        options |= {"use_ema": True, "ema_momentum": config.ema_momentum ** (1 / accumulated)}
    if clip_norm:
        options["global_clipnorm"] = clip_norm
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=config.momentum, **options)
    options |= {"beta_1": config.momentum, "beta_2": config.beta_2, "epsilon": config.epsilon}
    if config.optimizer == "adam":
        return keras.optimizers.Adam(schedule, **options)
    return keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, **options)


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

    It is the paper's (sections 4.1 and 4.2): linear warm-up to learning_rate_per_256 * examples / 256, then a cosine to
    zero or to `final_learning_rate_fraction`, or, if the recipe has `decay_epochs`, a division by 10 at each of them.
    The examples are those of an update: the batch, times `gradient_accumulation_steps`.

    Args:
        config: a recipe's config.
        steps: number of steps of the whole run, which Keras counts also where several of them accumulate gradients.
        multiplier: factor of all rates.
    """
    warmup_steps = round(config.warmup_fraction * steps)
    examples = config.batch_size * config.gradient_accumulation_steps
    rate = multiplier * config.learning_rate_per_256 * examples / 256
    if config.decay_epochs:
        boundaries = [round(epoch * steps / config.epochs) for epoch in config.decay_epochs]
        rates = [rate / 10**decays for decays in range(len(boundaries) + 1)]
        return LinearWarmup(keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates), warmup_steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else rate,
        decay_steps=max(steps - warmup_steps, 1),
        alpha=config.final_learning_rate_fraction,
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
        for variable in filter(_decays, model.trainable_variables):
            variable.regularizer = keras.regularizers.L2(weight_decay / 2)


def _decays(variable):
    return variable.name == "kernel"
