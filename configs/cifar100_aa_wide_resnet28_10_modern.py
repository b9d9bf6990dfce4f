"""AA-Wide-ResNet-28-10 on CIFAR-100 by a recipe of today, for the network rather than for the comparison.

Command:   python train.py --config=configs/cifar100_aa_wide_resnet28_10_modern.py --config.data_dir=FOLDER
Hardware:  one GPU, with --config.precision=mixed_bfloat16: of 16 GB on JAX, whose fused attention "auto" takes; of
           40 GB on TensorFlow with --config.builder_arguments.implementation=blockwise (estimates of `aa_keras.memory`)
Time:      not known
Accuracy:  not known; the paper's recipe has 81.6 % top-1, 95.2 % top-5
Status:    not run here

RandAugment, MixUp or CutMix, label smoothing, a longer cosine, and a moving average of the weights, which is evaluated
and saved beside the last ones (averaged.keras). Weight decay touches the kernels of convolutions and dense layers, and
nothing else.
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "cifar100_aa_wide_resnet28_10_modern"
    config.dataset = "cifar100"
    config.horizontal_flip = True
    config.crop_padding = 4
    config.rand_augment_operations = 2
    config.rand_augment_magnitude = 0.4
    config.mixup_alpha = 0.2
    config.cutmix_alpha = 1.0
    config.builder = "AAWideResNet28_10"
    config.epochs = 600
    config.batch_size = 256
    config.learning_rate_per_256 = 0.2
    config.weight_decay = 5e-4
    config.label_smoothing = 0.1
    config.ema_momentum = 0.9995
    return config
