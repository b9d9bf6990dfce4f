"""A thin AA-RetinaNet on BCCD, photographs of blood cells: what two CPU cores train in minutes.

Command:   aa-keras train --config=bccd_aa_retinanet --config.data_dir=FOLDER
Hardware:  two CPU cores
Data:      FOLDER is a clone of BCCD (MIT licence) in COCO's format, or holds one as `bccd`
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
