"""RetinaNets: KerasHub's, with the heads, the losses and the decoding of the RetinaNet paper."""

import math

import keras
import keras_hub
from keras import ops

from aa_keras._keras_compat import all_layers, build_losses

from ..blocks import dtype_policy, normalizes_pixels
from ..weights.architecture import of_detector
from .decoder import ClassWiseNonMaxSuppression
from .encoder import PyramidEncoder, build_network  # noqa: F401  for `retinanet`
from .losses import FocalLoss, SmoothL1Loss

# Lin et al., Focal Loss for Dense Object Detection (ICCV 2017), section 4: the score of a class everywhere before
# training, and the standard deviation of the heads' kernels.
PRIOR_PROBABILITY = 0.01
HEAD_STDDEV = 0.01
# exp() of a larger number would give a box of more than 62 times its anchor's side.
MOST_LOG_SCALE = math.log(1000 / 16)

NUM_SCALES = 3
ASPECT_RATIOS = (0.5, 1.0, 2.0)
FORMAT = "yxyx"


@keras.saving.register_keras_serializable("aa_keras", name="RetinaNet")
class RetinaNet(keras_hub.models.RetinaNetObjectDetector):
    """KerasHub's RetinaNet with the heads, the losses and the decoding of the RetinaNet paper.

    Differences from KerasHub 0.32: the prior probability is in the bias of the class head instead of the box head; the
    convolutions of the heads and of the feature pyramid start with different kernels instead of equal ones, those of
    the heads with a standard deviation of 0.01; heads and losses are in float32 whatever the backbone's precision;
    images without boxes have a loss; non-maximum suppression is separate for each class.

    Args:
        backbone: `keras_hub.models.RetinaNetBackbone`.
        num_classes: integer, number of classes.
        head_convolutions: integer, convolutions in each head before its last one.
        anchor_size: float, side of the smallest anchor of each level, over the level's stride.
        prediction_decoder: `ClassWiseNonMaxSuppression`, or None for the default one.
        **kwargs: arguments of `keras.Model`, such as `name`.

    Call arguments:
        images: tensor of shape (batch, height, width, channels).

    Returns:
        A dictionary of "bbox_regression", a float32 tensor of shape (batch, anchors, 4): center x and y, width and
        height relative to the anchors; and "cls_logits", of shape (batch, anchors, num_classes). `predict` decodes
        them with `ClassWiseNonMaxSuppression`.
    """

    def __init__(self, backbone, num_classes, head_convolutions=4, anchor_size=4.0, prediction_decoder=None, **kwargs):
        anchors = keras_hub.layers.AnchorGenerator(
            FORMAT, backbone.min_level, backbone.max_level, NUM_SCALES, list(ASPECT_RATIOS), anchor_size
        )
        with dtype_policy("float32"):  # also for the layers after the heads
            super().__init__(
                backbone,
                num_classes,
                bounding_box_format=FORMAT,
                anchor_generator=anchors,
                pre_logits_num_conv_layers=head_convolutions,
                prediction_decoder=prediction_decoder or ClassWiseNonMaxSuppression(),
                dtype="float32",
                compile=False,
                **kwargs,
            )
        self.head_convolutions = head_convolutions
        self.anchor_size = anchor_size
        self._initialize()

    def _initialize(self):
        """Draws different kernels where KerasHub draws equal ones, and corrects the biases."""
        for layer in all_layers(self.backbone.feature_pyramid):
            if isinstance(layer, keras.layers.Conv2D):
                layer.kernel.assign(keras.initializers.VarianceScaling()(layer.kernel.shape))
        for head in (self.box_head, self.classification_head):
            for layer in (*head.conv_layers, head.prediction_layer):
                layer.kernel.assign(keras.initializers.RandomNormal(stddev=HEAD_STDDEV)(layer.kernel.shape))
        for head, bias in ((self.box_head, 0.0), (self.classification_head, -math.log(1 / PRIOR_PROBABILITY - 1))):
            head.prediction_layer.bias.assign(ops.full(head.prediction_layer.bias.shape, bias))

    def compile(self, optimizer="auto", box_loss="auto", classification_loss="auto", **kwargs):
        """Configures the detector for training, by default with the losses of the RetinaNet paper.

        Args:
            optimizer: optimizer, or "auto" for KerasHub's.
            box_loss: loss of boxes relative to anchors, of shape (batch, anchors, 4); "auto" for `SmoothL1Loss`.
            classification_loss: loss of logits; "auto" for `FocalLoss`. Both must sum instead of averaging: their
                inputs are weighted by one over the number of positive anchors.
            **kwargs: arguments of `keras.Model.compile`, without `metrics`.
        """
        self._compile_arguments = {"box_loss": box_loss, "classification_loss": classification_loss, **kwargs}
        box_loss = SmoothL1Loss() if box_loss == "auto" else box_loss
        classification_loss = FocalLoss() if classification_loss == "auto" else classification_loss
        super().compile(optimizer, box_loss, classification_loss, **kwargs)
        build_losses(self, self.output)

    def get_compile_config(self):
        """Returns the arguments of `compile` for a file, or None before it was called."""
        if not self.compiled:
            return None
        return keras.saving.serialize_keras_object({"optimizer": self.optimizer, **self._compile_arguments})

    def compile_from_config(self, config):
        """Configures a detector from a file for training, with the state of the optimizer."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        """Returns the losses over all anchors, divided by the number of anchors that match a box, at least one.

        Args:
            x: images, tensor of shape (batch, height, width, channels).
            y: dictionary of "boxes", float32 tensor (batch, boxes, 4) of pixels, and "labels" (batch, boxes), both
                padded with -1.
            y_pred: outputs of the model.
            sample_weight: tensor (batch,), or None.
            **kwargs: arguments of `keras.Model.compute_loss`.
        """
        given = _with_a_row(y["boxes"], y["labels"])
        boxes, labels = self.label_encoder(images=x, gt_boxes=given[0], gt_classes=given[1])
        is_positive = ops.cast(labels > -1, "float32")
        is_counted = ops.cast(ops.not_equal(labels, self.label_encoder.ignore_class), "float32")
        if sample_weight is not None:
            image_weights = ops.cast(ops.reshape(sample_weight, (-1, 1)), "float32")
            is_positive, is_counted = is_positive * image_weights, is_counted * image_weights
        positives = ops.maximum(_over_replicas(ops.sum(is_positive)), 1.0)
        classes = ops.one_hot(ops.cast(labels, "int32"), self.num_classes, dtype="float32")
        return keras.Model.compute_loss(
            self,
            x=x,
            y={"bbox_regression": boxes, "cls_logits": classes},
            y_pred=y_pred,
            sample_weight={"bbox_regression": is_positive / positives, "cls_logits": is_counted / positives},
            **kwargs,
        )

    @property
    def architecture(self):
        """The `Architecture` that its builder recorded; that of its config for a detector from a file."""
        return getattr(self, "_architecture", None) or of_detector(self.get_config())

    @architecture.setter
    def architecture(self, architecture):
        self._architecture = architecture

    pipeline_tag = "object-detection"  # the task, in the Hugging Face Hub's terms

    @property
    def explained_layer(self):
        """The name of the layer whose feature maps Grad-CAM explains."""
        return self.backbone.name

    def class_logits(self, predictions):
        """Returns the logit of each class's best box for Grad-CAM, float32 (batch, classes), from the outputs."""
        return ops.max(ops.cast(predictions["cls_logits"], "float32"), axis=1)

    def decode_predictions(self, predictions, data):
        """Decodes the outputs of the model for images: see `ClassWiseNonMaxSuppression`."""
        deltas = predictions["bbox_regression"]
        sizes = ops.minimum(deltas[..., 2:], MOST_LOG_SCALE)
        bounded = {**predictions, "bbox_regression": ops.concatenate([deltas[..., :2], sizes], axis=-1)}
        images = data[0] if isinstance(data, (tuple, list)) else data  # `predict_on_batch` passes a tuple of one
        return super().decode_predictions(bounded, images)

    @property
    def largest_stride(self):
        """The stride of the coarsest level, of which the sides of images must be multiples."""
        return 2**self.backbone.max_level

    @property
    def encoder(self):
        """The network of the library in the detector, without its pyramid: a `PyramidEncoder`."""
        return self.backbone.image_encoder

    @property
    def normalizes_pixels(self):
        """Whether the detector takes pixels from 0 to 255."""
        return normalizes_pixels(self.encoder)

    @property
    def backbone_arguments(self):
        """The arguments of the builder of the backbone, a dictionary."""
        return self.encoder.arguments

    def get_config(self):
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "head_convolutions": self.head_convolutions,
            "anchor_size": self.anchor_size,
            "prediction_decoder": keras.saving.serialize_keras_object(self.prediction_decoder),
            "name": self.name,
        }


def detector(encoder, classes, min_level, max_level, head_convolutions, anchor_size, name):
    """Returns a RetinaNet on a `PyramidEncoder`.

    Args:
        encoder: the `PyramidEncoder`.
        classes: number of classes.
        min_level: the finest level of the pyramid, with a stride of 2 ** min_level pixels.
        max_level: the coarsest level.
        head_convolutions: see `RetinaNet`.
        anchor_size: likewise.
        name: name of the model.
    """
    backbone = keras_hub.models.RetinaNetBackbone(
        encoder,
        min_level,
        max_level,
        use_p5=False,
        image_shape=encoder.image_shape,
        dtype=keras.config.dtype_policy(),
        name="backbone",
    )
    return RetinaNet(backbone, classes, head_convolutions, anchor_size, name=name)


def _with_a_row(boxes, labels):
    """Returns boxes and labels with at least one row, of padding: KerasHub fails for a batch without any."""
    if boxes.shape[1]:
        return boxes, labels
    return (
        ops.pad(boxes, ((0, 0), (0, 1), (0, 0)), constant_values=-1),
        ops.pad(labels, ((0, 0), (0, 1)), constant_values=-1),
    )


def _over_replicas(value):
    """Returns the sum of a value over the replicas of TensorFlow's MirroredStrategy, if there are any."""
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)
