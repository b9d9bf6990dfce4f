"""The plain Wide-ResNet-10-2 on Fashion-MNIST that the augmented one is compared with: everything else is the same.

Command:   aa-keras train --config=fashion_mnist_wide_resnet10_2
Hardware:  two CPU cores
Time:      six minutes
Accuracy:  92.37 %, 92.18 % and 92.46 % top-1 on the 10,000 test images with the seeds 0, 1 and 2
Status:    run here as it is
"""

from aa_keras.configs import fashion_mnist_aa_wide_resnet10_2


def get_config():
    config = fashion_mnist_aa_wide_resnet10_2.get_config()
    config.name = "fashion_mnist_wide_resnet10_2"
    config.builder = "WideResNet"
    del config.builder_arguments["num_heads"]
    del config.builder_arguments["attention_stages"]
    return config
