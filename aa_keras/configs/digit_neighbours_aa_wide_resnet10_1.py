"""A small AA-Wide-ResNet on images of several digits: which digit is next to the left of the marked one?

Command:   aa-keras train --config=digit_neighbours_aa_wide_resnet10_1
Hardware:  two CPU cores
Time:      about two minutes
Accuracy:  96.8 %, 98.0 % and 94.4 % top-1 on the 2,000 test images with the seeds 0, 1 and 2
Status:    run here as it is

benchmarks/ablate.py uses this recipe to measure what positions are worth: see aa_keras/data/digits.py for the task.
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "digit_neighbours"
    config.dataset = "digit_neighbours"
    config.builder = "AAWideResNet"
    config.builder_arguments.depth = 10
    config.builder_arguments.width = 1
    config.builder_arguments.num_heads = 4
    config.builder_arguments.key_ratio = 0.25
    config.builder_arguments.value_ratio = 0.25
    config.builder_arguments.attention_stages = (2, 3)
    config.epochs = 4
    config.batch_size = 64
    config.learning_rate_per_256 = 0.4
    config.weight_decay = 5e-4
    return config
