"""AA-Wide-ResNet-28-10 on CIFAR-100 with the paper's hyperparameters (section 4.1).

Command:   aa-keras train --config=cifar100_aa_wide_resnet28_10 --config.data_dir=FOLDER
Hardware:  one GPU, with --config.precision=mixed_bfloat16: of 16 GB on JAX, where "auto" uses fused attention; on
           TensorFlow of 80 GB with dense attention, which "auto" uses there and which needs 30 GB for a batch of 256,
           or of 40 GB with --config.builder_arguments.implementation=blockwise, which needs 16 GB (estimates of
           `aa_keras.attention.attention_memory`)
Time:      not known
Accuracy:  81.6 % top-1, 95.2 % top-5 in the paper
Status:    only single steps were run here

Weight decay applies to the kernels of convolutions and dense layers alone: not to biases, batch normalization or
tables of positions.

As in the paper, all 50,000 training images are trained on, and the last checkpoint is reported;
--config.validation_examples=5000 holds some images out.
"""

from aa_keras.configs import cifar100_wide_resnet28_10


def get_config():
    config = cifar100_wide_resnet28_10.get_config()
    config.name = "cifar100_aa_wide_resnet28_10"
    config.builder = "AAWideResNet28_10"
    config.batch_size = 256
    config.weight_decay = 5e-4
    return config
