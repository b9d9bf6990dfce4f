"""The RetinaNet on an attention-augmented ResNet-50, on COCO from scratch (the paper's section 4.4).

Command:   aa-keras train --config=coco_aa_retinanet50 --config.data_dir=FOLDER
Hardware:  accelerators for a batch of 64 images of 640x640
Accuracy:  AP 38.2 % in the paper
Status:    only single steps were run here

From the paper: 150 epochs, images of 640 pixels, scale jitter from 0.8 to 1.2. It does not give the rest: batches,
learning rate and weight decay are those of TensorFlow's own RetinaNet, as are, in proportion, the epochs at which the
learning rate is divided.
"""

from aa_keras.recipes import default_config


def get_config():
    config = default_config()
    config.name = "coco_aa_retinanet50"
    config.task = "detection"
    config.dataset = "coco/2017"
    config.test_split = "validation"  # images of the test split have no boxes
    config.bad_boxes = "skip"  # COCO has some boxes without area
    config.input_size = (640, 640)
    config.scale_jitter = (0.8, 1.2)
    config.horizontal_flip = True
    config.builder = "AARetinaNet50"
    config.epochs = 150
    config.batch_size = 64
    config.learning_rate_per_256 = 0.32  # 0.08 for these batches
    config.decay_epochs = (120, 140)
    config.weight_decay = 1e-4
    return config
