"""AA-Wide-ResNet-16-4 on CIFAR-100, with attention where the maps are small: two CPU cores can train it.

Command:   aa-keras train --config=cifar100_aa_wide_resnet16_4 --config.data_dir=FOLDER
Hardware:  two CPU cores, about two seconds a step
Time:      two and a half hours
Accuracy:  64.79 % top-1, 89.91 % top-5
Status:    trained here, and for longer on one NVIDIA H200, where three minutes give 75.5 %: 60 epochs, batches of 256,
           KERAS_BACKEND=jax, --config.precision=mixed_bfloat16; `AAWideResNet16_4(weights="cifar100")` is that network
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "cifar100_aa_wide_resnet16_4"
    config.dataset = "cifar100"
    config.horizontal_flip = True
    config.crop_padding = 4
    config.builder = "AAWideResNet16_4"
    config.epochs = 10
    config.batch_size = 128
    config.learning_rate_per_256 = 0.2
    config.weight_decay = 5e-4
    return config
