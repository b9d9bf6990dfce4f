"""A small AA-Wide-ResNet-10-2 on Fashion-MNIST, with attention where the maps are small: trained on two CPU cores.

Command:   aa-keras train --config=fashion_mnist_aa_wide_resnet10_2
Hardware:  two CPU cores
Time:      a quarter of an hour
Accuracy:  92.24 %, 92.16 % and 92.32 % top-1 on the 10,000 test images with the seeds 0, 1 and 2
Status:    run here as it is

The images are those of Debian's package `dataset-fashion-mnist`, of IDX files in the folder that --config.data_dir
names, or of TensorFlow Datasets, which downloads them.
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "fashion_mnist_aa_wide_resnet10_2"
    config.dataset = "fashion_mnist"
    config.validation_examples = 5000
    config.horizontal_flip = True
    config.crop_padding = 2
    config.builder = "AAWideResNet"
    config.builder_arguments.depth = 10
    config.builder_arguments.width = 2
    config.builder_arguments.num_heads = 4
    config.builder_arguments.attention_stages = (2, 3)
    config.epochs = 8
    config.batch_size = 128
    config.learning_rate_per_256 = 0.2
    config.weight_decay = 5e-4
    return config
