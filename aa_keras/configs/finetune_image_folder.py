"""A network with ImageNet weights of timm's, augmented with attention and trained on for your own images.

Command:   aa-keras train --config=finetune_image_folder --config.data_dir=FOLDER
Hardware:  a GPU for more than a try; smaller images and networks run on a CPU
Time:      depends on the images
Status:    tried with a checkpoint of timm's format and 100 photographs for single steps; what accuracy to expect
           depends on the images

FOLDER is as in the recipe `image_folder`. AA-ResNet-50 takes from ResNet-50 what fits: everything but attention. What
is new, attention and the classifier, learns at ten times the rate; the last stage at 0.75 times the rate, and each
stage before it at 0.75 times that of the next. Images are normalised as they were when the weights were trained.

The weights are fetched from huggingface.co once, which needs the extra `timm`. Others, or none of attention:

    --config.weights=timm/resnet50.tv2_in1k          another training of the same network
    --config.weights=FILE.safetensors                a checkpoint that is here
    --config.builder=BoTNet26t --config.weights=timm/botnet26t_256.c1_in1k --config.image_size=256
    --config.freeze=backbone                         the classifier, and attention that is new, alone
"""

from aa_keras.configs import image_folder


def get_config():
    config = image_folder.get_config()
    config.name = "finetune_image_folder"
    config.weights = "timm/resnet50.a1h_in1k"
    config.head_learning_rate_multiplier = 10.0
    config.layer_decay = 0.75
    config.epochs = 20
    config.learning_rate_per_256 = 0.02
    config.label_smoothing = 0.1
    return config
