"""AA-ResNet-50 on ImageNet with the paper's hyperparameters (section 4.2).

Command:   aa-keras train --config=imagenet_aa_resnet50 --config.data_dir=FOLDER
Hardware:  a GPU of 40 GB or more, with --config.precision=mixed_bfloat16
Time:      not known
Accuracy:  77.7 % top-1, 93.8 % top-5 in the paper
Status:    not trained here

Weight decay applies to the kernels of convolutions and dense layers alone: not to biases, batch normalization or
tables of positions.

FOLDER has imagenet2012 as TensorFlow Datasets prepares it, from the two original archives. A run of fewer epochs also
needs --config.decay_epochs: for example --config.epochs=50 --config.decay_epochs="(15,30,40,45)".
"""

from aa_keras.configs import imagenet_resnet50


def get_config():
    config = imagenet_resnet50.get_config()
    config.name = "imagenet_aa_resnet50"
    config.builder = "AAResNet50"
    return config
