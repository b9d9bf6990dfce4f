"""Any network of the library on your own images: a folder of class folders, at any size.

Command:   aa-keras train --config=image_folder --config.data_dir=FOLDER
Hardware:  a GPU; smaller images and networks also train on a CPU
Time:      depends on the images
Status:    tried with 100 photographs for single steps; what accuracy to expect depends on the images

FOLDER has train/CLASS/*.jpg and validation/CLASS/*.jpg or test/CLASS/*.jpg. It may also have CLASS/*.jpg alone: then a
fixed fifth of each class is held out for the test. Without a test/, validation/ is the test split.
--config.test_split=train reports on the images trained on, for classes with a single image. A smaller network:

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
