"""The docstrings of builders."""

import inspect
import textwrap

_ARGUMENTS = {
    "include_top": "boolean, whether the model ends in a classifier.",
    "weights": "None for random weights; the name of trained ones that `aa_keras.applications.pretrained` lists for "
    "the builder; the path of a file of weights (`.weights.h5` or `.keras`) of the same network, or of a folder that "
    "`aa_keras.save_pretrained` wrote; 'hf://USER/REPOSITORY' for such a folder on the Hugging Face Hub; the URL of a "
    "file with its checksum, 'https://HOST/NAME.keras#sha256=...'; or, for ResNets and BoTNets, weights of timm, "
    "'timm/NAME' or a checkpoint (`.safetensors`, `.bin` or `.pth`), which are converted and kept in Keras's cache. "
    "An augmented network takes what fits from a plain one, unless the path of its file is given; a log line counts "
    "the weights. "
    "Tables of relative positions for another image size are resized, and a log line says so; if the "
    "size is unknown, they stay as they are. Without a top, the file's number of classes does not matter;"
    " named weights for other classes than `classes` leave the classifier new, and a log line says so.",
    "input_tensor": "Keras tensor to use as the image input, or None.",
    "input_shape": "(height, width, channels) of the images; height and width may be None. None takes {default_shape}, "
    "or (None, None, 3) without a top. Tables of relative positions are made for this size, or for "
    "{default_shape} if it is unknown; smaller inputs use their centre, larger ones share their ends.",
    "pooling": 'without a top, the global pooling of the last feature map: "avg", "max", or None for no pooling.',
    "classes": "number of classes.",
    "classifier_activation": "activation of the classifier; None returns logits.",
    "name": "name of the model.",
    "include_preprocessing": "boolean. True makes `preprocess_input` a layer of the model, which then takes "
    "pixels from 0 to 255.",
    "channel_attention": 'attention over the channels of each block before its shortcut is added: "squeeze_excite", '
    '"gather_excite" or None.',
    "channel_attention_bias": 'boolean, whether the dense layers of "squeeze_excite" have biases, as in timm; '
    "None takes that of `weights`, or False.",
    "padding": 'padding of strided windows: "same", as in TensorFlow, or "symmetric", as in PyTorch; None '
    'takes that of `weights`, or "same".',
    "num_heads": "number of attention heads.",
    "key_ratio": "the paper's kappa, the depth of keys over the filters of the convolution.",
    "value_ratio": "the paper's upsilon, the share of attention among the output channels; 1 leaves no convolution.",
    "position_encoding": '"relative", "sinusoidal", "coordinates" or None.',
    "attention_stages": 'tuple of the augmented stages, of {stages}; or "auto", for as many stages, from the last '
    "backwards, as fit into `attention_budget`.",
    "attention_pooling": "stride of an average pooling before attention in the first of these stages.",
    "implementation": 'how attention is computed, "auto" or another implementation of `SelfAttention2D`.',
    "attention_budget": 'with `attention_stages="auto"`, the bytes that attention may take in training, for each '
    "image of a batch, as `aa_keras.attention.attention_memory` estimates them; otherwise None.",
    "drop_path_rate": "rate of stochastic depth at the last block: the share of images for which the block is left out "
    "in training. It grows linearly over the blocks, from 0 at the first one.",
    "dropout_rate": "rate of the dropout before the classifier.",
}

_TEMPLATE = """
Args:
{arguments}

Returns:
{returns}

Raises:
    ValueError: {raises}

Example:

>>> model = {call}
>>> images = np.zeros({batch_shape}, "uint8")  # RGB, pixels from 0 to 255
>>> {result} = model.predict(images)
"""


def documentation(definition, function_name):
    """Returns the rest of a builder's docstring after the first sentence."""
    family, parameters = definition.family, definition.signature.parameters
    words = {name: getattr(family, name) for name in ("stages", "output_shape", "pyramid")}
    words["default_shape"] = family.dataset.input_shape
    described = {**_ARGUMENTS, **family.arguments}
    arguments = "\n".join(
        textwrap.fill(f"{name}: {described[name].format(**words)}", 112, subsequent_indent="    ")
        for name in parameters
    )
    required = (name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty)
    call = "".join(f"{name}={family.example[name]}, " for name in required)
    text = _TEMPLATE.format(
        arguments=textwrap.indent(arguments, " " * 4),
        returns=textwrap.indent(textwrap.fill(family.returns.format(**words), 112), " " * 4),
        call=f"{function_name}({call}include_preprocessing=True)",
        batch_shape=(1, *family.dataset.input_shape),
        result=family.result,
        raises=family.raises,
        **words,
    )
    return textwrap.indent(text, " " * 4, predicate=str.strip)
