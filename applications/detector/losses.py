"""The losses of the RetinaNet paper."""

import keras

# Lin et al., Focal Loss for Dense Object Detection (ICCV 2017), section 5: the weights of the focal loss.
ALPHA, GAMMA = 0.25, 2.0
# The difference at which the smooth L1 loss changes from squared to absolute, in Detectron and its successors.
SMOOTH_L1_BETA = 1 / 9


@keras.saving.register_keras_serializable("aa_keras")
class FocalLoss(keras.losses.Loss):
    """The focal loss of logits, summed over classes (Lin et al., equation 5)."""

    def __init__(self, name="focal_loss", reduction="sum", **kwargs):
        super().__init__(name, reduction, **kwargs)

    def call(self, y_true, y_pred):
        mean = keras.losses.binary_focal_crossentropy(
            y_true, y_pred, apply_class_balancing=True, alpha=ALPHA, gamma=GAMMA, from_logits=True
        )
        return mean * y_pred.shape[-1]


@keras.saving.register_keras_serializable("aa_keras")
class SmoothL1Loss(keras.losses.Loss):
    """The smooth L1 loss of boxes, summed over their four numbers (Girshick, Fast R-CNN, equation 3)."""

    def __init__(self, name="smooth_l1_loss", reduction="sum", **kwargs):
        super().__init__(name, reduction, **kwargs)

    def call(self, y_true, y_pred):
        mean = keras.losses.huber(y_true, y_pred, delta=SMOOTH_L1_BETA)
        return mean * y_pred.shape[-1] / SMOOTH_L1_BETA
