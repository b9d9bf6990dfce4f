"""A small AA-RetinaNet on BCCD, photographs of blood cells: two CPU cores train it in minutes.

Command:   aa-keras train --config=bccd_aa_retinanet --config.data_dir=FOLDER
Data:      BCCD (MIT licence) with annotations in COCO's format, in FOLDER or in its folder `bccd`
Hardware:  two CPU cores, four seconds for 100 images
Time:      two and a half minutes; seven minutes for --config.epochs=40
Accuracy:  validation AP50 of white cells 96.8 %, red cells 79.1 %, platelets 43.8 %; after 40 epochs 99.1, 85.5, 74.4 %
Status:    trained here; `AARetinaNet(..., weights="bccd")` is the network of 40 epochs
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "bccd_aa_retinanet"
    config.task = "detection"
    config.dataset = "bccd"
    config.input_size = (192, 256)
    config.scale_jitter = (0.8, 1.2)
    config.horizontal_flip = True
    config.builder = "AARetinaNet"
    config.builder_arguments.depth = 18
    config.builder_arguments.width = 32
    config.builder_arguments.blocks = (1, 1, 1, 1)
    config.builder_arguments.max_level = 5
    config.builder_arguments.head_convolutions = 1
    config.builder_arguments.anchor_size = 2.5
    config.epochs = 10
    config.batch_size = 8
    config.optimizer = "adam"
    config.learning_rate_per_256 = 1e-3 * 256 / 8  # 1e-3 for these batches
    config.clip_norm = 10.0
    return config
