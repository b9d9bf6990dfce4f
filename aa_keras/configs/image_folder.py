"""Any network of the zoo on your own images: a folder of class folders, at any size.

Command:   aa-keras train --config=image_folder --config.data_dir=FOLDER
Hardware:  a GPU for more than a try; smaller images and networks run on a CPU
Time:      depends on the images
Status:    tried with 100 photographs for single steps; what accuracy to expect depends on the images

FOLDER holds train/CLASS/*.jpg and validation/CLASS/*.jpg or test/CLASS/*.jpg, or just CLASS/*.jpg, of which a fixed
fifth of each class is then held out for the test; --config.test_split=train reports on the images trained on, for
classes of a single image. Where there is no test/, validation/ is for the test. Another network, as small as you like:

    --config.builder=AAWideResNet --config.builder_arguments="{'depth': 16, 'width': 4}" --config.image_size=64
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "image_folder"
    config.dataset = "image_folder"
    config.image_size = 224
    config.horizontal_flip = True
    config.builder = "AAResNet50"
    config.epochs = 90
    config.batch_size = 64
    config.learning_rate_per_256 = 0.1
    config.weight_decay = 1e-4
    return config
