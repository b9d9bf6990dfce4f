"""AA-ResNet-50 on ImageNet with a modern recipe, for accuracy rather than for comparison with the paper.

Command:   aa-keras train --config=imagenet_aa_resnet50_modern --config.data_dir=FOLDER
Hardware:  eight GPUs of 40 GB: KERAS_BACKEND=jax before the command, and after it
           --config.distribution=data_parallel --config.precision=mixed_bfloat16; or one such GPU with
           --config.batch_size=128 and this precision
Time:      not known
Accuracy:  not known; the paper's recipe has 77.7 % top-1, 93.8 % top-5
Status:    not run here

RandAugment, MixUp or CutMix, label smoothing, a longer cosine, and a moving average of the weights, which is evaluated
and saved next to the last ones (averaged.keras). Weight decay applies to the kernels of convolutions and dense layers
alone.
"""

from aa_keras.configs import imagenet_aa_resnet50


def get_config():
    config = imagenet_aa_resnet50.get_config()
    config.name = "imagenet_aa_resnet50_modern"
    config.rand_augment_operations = 2
    config.rand_augment_magnitude = 0.3
    config.mixup_alpha = 0.2
    config.cutmix_alpha = 1.0
    config.epochs = 300
    config.decay_epochs = ()  # a cosine schedule
    config.batch_size = 1024
    config.weight_decay = 5e-5
    config.label_smoothing = 0.1
    config.ema_momentum = 0.9998
    return config
