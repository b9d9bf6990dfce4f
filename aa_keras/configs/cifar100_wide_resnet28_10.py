"""Wide-ResNet-28-10 on CIFAR-100 with the paper's hyperparameters (section 4.1): the baseline of AA-Wide-ResNet.

Command:   aa-keras train --config=cifar100_wide_resnet28_10 --config.data_dir=FOLDER
Hardware:  one GPU of 24 GB or more, with --config.precision=mixed_bfloat16
Time:      not known
Accuracy:  80.3 % top-1, 95.0 % top-5 in the paper
Status:    not run here

Weight decay applies to the kernels of convolutions and dense layers alone: not to biases, batch normalization or
tables of positions.
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "cifar100_wide_resnet28_10"
    config.dataset = "cifar100"
    config.horizontal_flip = True
    config.crop_padding = 4
    config.builder = "WideResNet28_10"
    config.epochs = 500
    config.batch_size = 1024
    config.learning_rate_per_256 = 0.2
    config.weight_decay = 2e-4
    return config
