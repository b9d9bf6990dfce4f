"""A small AA-Wide-ResNet-16-2 on CIFAR-100, with attention where the maps are small: to try on a CPU.

Command:   aa-keras train --config=cifar100_aa_wide_resnet16_2 --config.data_dir=FOLDER
Hardware:  two CPU cores
Time:      about a second a step
Accuracy:  14.8 % top-1, 40.1 % top-5 after 300 steps (--config.epochs=3 --config.steps_per_epoch=100)
Status:    run here for these 300 steps; the accuracy of the whole recipe is not known
"""

from aa_keras.configs import cifar100_aa_wide_resnet16_4


def get_config():
    config = cifar100_aa_wide_resnet16_4.get_config()
    config.name = "cifar100_aa_wide_resnet16_2"
    config.builder = "AAWideResNet"
    config.builder_arguments.depth = 16
    config.builder_arguments.width = 2
    config.builder_arguments.num_heads = 4
    config.builder_arguments.attention_stages = (2, 3)
    config.epochs = 4
    return config
