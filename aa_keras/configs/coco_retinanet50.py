"""The RetinaNet on a ResNet-50, the paper's baseline on COCO (section 4.4).

Command:   aa-keras train --config=coco_retinanet50 --config.data_dir=FOLDER
Hardware:  accelerators for a batch of 64 images of 640x640
Accuracy:  AP 36.8 % in the paper
Status:    not run here
"""

from aa_keras.configs import coco_aa_retinanet50


def get_config():
    config = coco_aa_retinanet50.get_config()
    config.name = "coco_retinanet50"
    config.builder = "RetinaNet50"
    return config
