"""The base of layers that consist of several convolutions."""

import keras

from aa_keras.layers import _arguments


class ConvolutionalLayer(keras.layers.Layer):
    """Base of layers whose child layers all take the same biases, initializers, regularizers and constraints.

    The arguments are those of `keras.layers.Conv2D`; the layers that derive from this one document them.
    """

    def __init__(
        self,
        *,
        data_format,
        use_bias,
        kernel_initializer,
        bias_initializer,
        kernel_regularizer,
        bias_regularizer,
        activity_regularizer,
        kernel_constraint,
        bias_constraint,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.data_format = _arguments.channels_last(data_format)
        self.use_bias = _arguments.boolean("use_bias", use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)

    def child_arguments(self):
        """Returns the arguments of one child layer, new for each."""
        return {
            "data_format": self.data_format,
            "use_bias": self.use_bias,
            "kernel_initializer": _cloned(self.kernel_initializer),
            "bias_initializer": _cloned(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            "dtype": self.dtype_policy,
            "trainable": self.trainable,  # the current value: children do not inherit it
        }

    def get_config(self):
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


def _cloned(initializer):
    # An initializer draws the same numbers each time it is called: two weights need two.
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer
