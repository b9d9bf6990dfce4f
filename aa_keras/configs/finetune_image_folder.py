"""A network with ImageNet weights of timm, augmented with attention and fine-tuned on your own images.

Command:   aa-keras train --config=finetune_image_folder --config.data_dir=FOLDER
Hardware:  a GPU; smaller images and networks also train on a CPU
Time:      depends on the images
Status:    tried with a checkpoint of timm's format and 100 photographs for single steps; what accuracy to expect
           depends on the images

FOLDER is as in the recipe `image_folder`. AA-ResNet-50 takes what fits from ResNet-50: everything but attention.
Attention and the classifier, which are new, learn at ten times the rate; the last stage at 0.75 times the rate, and
each stage before it at 0.75 times that of the next. Images are normalized as they were for the weights. AdamW and its
rate did better than SGD for another network in 120 steps (docs/results.md).

The weights are downloaded once from huggingface.co, which needs the extra `timm`. Other weights and networks:

    --config.weights=timm/resnet50.tv2_in1k          another training of the same network
    --config.weights=FILE.safetensors                a checkpoint on this machine
    --config.builder=BoTNet26t --config.weights=timm/botnet26t_256.c1_in1k --config.image_size=256
    --config.builder=AAWideResNet16_4 --config.weights=cifar100 --config.image_size=32    no download, on a CPU
    --config.freeze=backbone                         train the classifier and new attention alone
"""

from aa_keras.configs import image_folder


def get_config():
    config = image_folder.get_config()
    config.name = "finetune_image_folder"
    config.weights = "timm/resnet50.a1h_in1k"
    config.head_learning_rate_multiplier = 10.0
    config.layer_decay = 0.75
    config.epochs = 20
    config.optimizer = "adamw"
    config.learning_rate_per_256 = 0.003
    config.weight_decay = 0.05
    config.label_smoothing = 0.1
    return config
