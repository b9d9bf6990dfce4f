"""ResNet-50 on ImageNet with the paper's hyperparameters (section 4.2): the baseline of AA-ResNet-50.

Command:   aa-keras train --config=imagenet_resnet50 --config.data_dir=FOLDER
Hardware:  a GPU of 40 GB or more, with --config.precision=mixed_bfloat16
Time:      not known
Accuracy:  76.4 % top-1, 93.1 % top-5 in the paper
Status:    not trained here

Weight decay applies to the kernels of convolutions and dense layers alone: not to biases, batch normalization or
tables of positions.

FOLDER has imagenet2012 as TensorFlow Datasets prepares it, from the two original archives. A run of fewer epochs also
needs --config.decay_epochs: for example --config.epochs=50 --config.decay_epochs="(15,30,40,45)".
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "imagenet_resnet50"
    config.dataset = "imagenet2012"
    config.image_size = 224
    config.horizontal_flip = True
    config.builder = "ResNet50"
    config.epochs = 100
    config.batch_size = 256
    config.learning_rate_per_256 = 0.128
    config.decay_epochs = (30, 60, 80, 90)
    config.weight_decay = 1e-4
    return config
