"""AA-MnasNet-A1 on ImageNet, at alpha 1 (section 4.3 of the paper).

Command:   aa-keras train --config=imagenet_aa_mnasnet --config.data_dir=FOLDER
Hardware:  a GPU of 40 GB or more, with --config.precision=mixed_bfloat16
Time:      not known
Accuracy:  not at hand; the authors of the plain network report 75.2 % top-1, 92.5 % top-5, trained with RMSprop
Status:    not trained here

The paper has 0.75, 1.0, 1.25 and 1.4 for --config.builder_arguments.alpha. SGD with momentum, the cosine schedule and
the learning rate are choices of this recipe; the authors of MnasNet train for as many epochs with RMSprop and an
exponential decay.

FOLDER has imagenet2012 as TensorFlow Datasets prepares it, from the two original archives.
"""

from aa_keras.configs import imagenet_resnet50


def get_config():
    config = imagenet_resnet50.get_config()
    config.name = "imagenet_aa_mnasnet"
    config.builder = "AAMnasNet"
    config.builder_arguments.alpha = 1.0
    config.epochs = 350
    config.decay_epochs = ()  # a cosine schedule
    config.learning_rate_per_256 = 0.1
    config.weight_decay = 4e-5
    return config
