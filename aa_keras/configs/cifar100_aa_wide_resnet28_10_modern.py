"""AA-Wide-ResNet-28-10 on CIFAR-100 with a modern recipe, for accuracy rather than for comparison with the paper.

Command:   aa-keras train --config=cifar100_aa_wide_resnet28_10_modern --config.data_dir=FOLDER
Hardware:  one GPU, with --config.precision=mixed_bfloat16: of 16 GB on JAX, where "auto" uses fused attention; of
           40 GB on TensorFlow with --config.builder_arguments.implementation=blockwise (estimates)
Time:      not known
Accuracy:  not known; the paper's recipe has 81.6 % top-1, 95.2 % top-5
Status:    not run here

RandAugment, MixUp or CutMix, label smoothing, a longer cosine, and a moving average of the weights, which is evaluated
and saved next to the last ones (averaged.keras). Weight decay applies to the kernels of convolutions and dense layers
alone.
"""

from aa_keras.configs import cifar100_aa_wide_resnet28_10


def get_config():
    config = cifar100_aa_wide_resnet28_10.get_config()
    config.name = "cifar100_aa_wide_resnet28_10_modern"
    config.rand_augment_operations = 2
    config.rand_augment_magnitude = 0.4
    config.mixup_alpha = 0.2
    config.cutmix_alpha = 1.0
    config.epochs = 600
    config.label_smoothing = 0.1
    config.ema_momentum = 0.9995
    return config
