"""Loss, metrics, optimizer and schedule of a recipe."""

import keras


def compile_model(model, config, steps):
    """Compiles a model of logits for a recipe of `steps` steps in all.

    The schedule is the paper's for CIFAR-100 (section 4.1): linear warm-up to learning_rate_per_256 * batch_size / 256
    and then a cosine to zero. It depends on the optimizer's count of steps alone, so that a resumed run goes
    on with it.
    """
    warmup_steps = round(config.warmup_fraction * steps)
    rate = config.learning_rate_per_256 * config.batch_size / 256
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else rate,
        decay_steps=max(steps - warmup_steps, 1),
        warmup_target=rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    metrics = [
        keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy"),
        keras.metrics.SparseCategoricalAccuracy(name="top1"),
        keras.metrics.SparseTopKCategoricalAccuracy(k=5, name="top5"),
    ]
    add_weight_decay(model, config.weight_decay)
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=config.momentum),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=metrics,
        jit_compile=config.jit_compile or "auto" if keras.backend.backend() == "jax" else config.jit_compile,
    )


def add_weight_decay(model, weight_decay):
    """Adds weight_decay / 2 times the squared kernels of convolutions and dense layers to a model's loss.

    This is the weight decay of the paper's time, part of the gradient that momentum accumulates. The decay of
    `keras.optimizers.SGD(weight_decay=...)` bypasses momentum, and so is ten times as weak at a momentum of 0.9.
    Biases, batch normalisation and tables of positions do not decay.
    """
    if weight_decay:
        for variable in model.trainable_variables:
            if variable.name == "kernel":
                variable.regularizer = keras.regularizers.L2(weight_decay / 2)
