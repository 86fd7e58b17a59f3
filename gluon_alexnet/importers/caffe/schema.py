"""The part of Caffe's published schema (caffe.proto of BVLC/caffe) that AlexNet's family uses, by field number.

Caffe's generated classes are in no package of its own, so the messages are built here for the protobuf library. A
blob's numbers are declared as bytes, which is how packed floats lie in a file: they are looked at where they are, and
nothing of the size that a file claims is ever allocated.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "float": _Field.TYPE_FLOAT,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}

# Message → (field, number, kind); a kind in brackets repeats, "packed" is how the schema says it lies in the file.
_MESSAGES = {
    "BlobShape": (("dim", 1, "[int64] packed"),),
    "BlobProto": (
        ("num", 1, "int64"),
        ("channels", 2, "int64"),
        ("height", 3, "int64"),
        ("width", 4, "int64"),
        ("data", 5, "[bytes]"),
        ("shape", 7, "BlobShape"),
        ("double_data", 8, "[bytes]"),
    ),
    "ConvolutionParameter": (
        ("num_output", 1, "int64"),
        ("bias_term", 2, "bool"),
        ("pad", 3, "[int64]"),
        ("kernel_size", 4, "[int64]"),
        ("group", 5, "int64"),
        ("stride", 6, "[int64]"),
        ("pad_h", 9, "int64"),
        ("pad_w", 10, "int64"),
        ("kernel_h", 11, "int64"),
        ("kernel_w", 12, "int64"),
        ("stride_h", 13, "int64"),
        ("stride_w", 14, "int64"),
        ("axis", 16, "int64"),
        ("dilation", 18, "[int64]"),
    ),
    "DropoutParameter": (("dropout_ratio", 1, "float"), ("scale_train", 2, "bool")),
    "InnerProductParameter": (
        ("num_output", 1, "int64"),
        ("bias_term", 2, "bool"),
        ("axis", 5, "int64"),
        ("transpose", 6, "bool"),
    ),
    "InputParameter": (("shape", 1, "[BlobShape]"),),
    "LRNParameter": (
        ("local_size", 1, "int64"),
        ("alpha", 2, "float"),
        ("beta", 3, "float"),
        ("norm_region", 4, "NormRegion"),
        ("k", 5, "float"),
    ),
    "PoolingParameter": (
        ("pool", 1, "PoolMethod"),
        ("kernel_size", 2, "[int64]"),
        ("stride", 3, "[int64]"),
        ("pad", 4, "[int64]"),
        ("kernel_h", 5, "int64"),
        ("kernel_w", 6, "int64"),
        ("stride_h", 7, "int64"),
        ("stride_w", 8, "int64"),
        ("pad_h", 9, "int64"),
        ("pad_w", 10, "int64"),
        ("global_pooling", 12, "bool"),
    ),
    "ReLUParameter": (("negative_slope", 1, "float"),),
    "SoftmaxParameter": (("axis", 2, "int64"),),
    "LayerParameter": (
        ("name", 1, "string"),
        ("type", 2, "string"),
        ("bottom", 3, "[string]"),
        ("top", 4, "[string]"),
        ("blobs", 7, "[BlobProto]"),
        ("convolution_param", 106, "ConvolutionParameter"),
        ("dropout_param", 108, "DropoutParameter"),
        ("inner_product_param", 117, "InnerProductParameter"),
        ("lrn_param", 118, "LRNParameter"),
        ("pooling_param", 121, "PoolingParameter"),
        ("relu_param", 123, "ReLUParameter"),
        ("softmax_param", 125, "SoftmaxParameter"),
        ("input_param", 143, "InputParameter"),
    ),
    # The form before 2014's upgrade, which BVLC's own caffemodels have.
    "V1LayerParameter": (
        ("bottom", 2, "[string]"),
        ("top", 3, "[string]"),
        ("name", 4, "string"),
        ("type", 5, "LayerType"),
        ("blobs", 6, "[BlobProto]"),
        ("convolution_param", 10, "ConvolutionParameter"),
        ("dropout_param", 12, "DropoutParameter"),
        ("inner_product_param", 17, "InnerProductParameter"),
        ("lrn_param", 18, "LRNParameter"),
        ("pooling_param", 19, "PoolingParameter"),
        ("relu_param", 30, "ReLUParameter"),
        ("softmax_param", 39, "SoftmaxParameter"),
    ),
    "NetParameter": (
        ("name", 1, "string"),
        ("layers", 2, "[V1LayerParameter]"),
        ("input", 3, "[string]"),
        ("input_dim", 4, "[int64]"),
        ("input_shape", 8, "[BlobShape]"),
        ("layer", 100, "[LayerParameter]"),
    ),
}

# V1's layer types by number; a net with any of them can be read, and refused by name.
# fmt: off
_V1_TYPES = (
    "NONE", "ACCURACY", "BNLL", "CONCAT", "CONVOLUTION", "DATA", "DROPOUT", "EUCLIDEAN_LOSS", "FLATTEN", "HDF5_DATA",
    "HDF5_OUTPUT", "IM2COL", "IMAGE_DATA", "INFOGAIN_LOSS", "INNER_PRODUCT", "LRN", "MULTINOMIAL_LOGISTIC_LOSS",
    "POOLING", "RELU", "SIGMOID", "SOFTMAX", "SOFTMAX_LOSS", "SPLIT", "TANH", "WINDOW_DATA", "ELTWISE", "POWER",
    "SIGMOID_CROSS_ENTROPY_LOSS", "HINGE_LOSS", "MEMORY_DATA", "ARGMAX", "THRESHOLD", "DUMMY_DATA", "SLICE", "MVN",
    "ABSVAL", "SILENCE", "CONTRASTIVE_LOSS", "EXP", "DECONVOLUTION",
)
# fmt: on
_ENUMERATIONS = {
    "NormRegion": ("ACROSS_CHANNELS", "WITHIN_CHANNEL"),
    "PoolMethod": ("MAX", "AVE", "STOCHASTIC"),
    "LayerType": _V1_TYPES,
}

# The later form's name of each type that the family has.
TYPES = {
    "CONVOLUTION": "Convolution",
    "RELU": "ReLU",
    "LRN": "LRN",
    "POOLING": "Pooling",
    "INNER_PRODUCT": "InnerProduct",
    "DROPOUT": "Dropout",
    "SOFTMAX": "Softmax",
}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="alexnet_caffe.proto", package="caffe", syntax="proto2")
    for name, values in _ENUMERATIONS.items():
        enumeration = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enumeration.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            inner = kind.partition("]")[0].strip("[")
            added = message.field.add(name=field, number=number)
            added.label = _Field.LABEL_REPEATED if kind.startswith("[") else _Field.LABEL_OPTIONAL
            added.options.packed = kind.endswith("packed")
            if inner in _KINDS:
                added.type = _KINDS[inner]
            else:
                added.type = _Field.TYPE_ENUM if inner in _ENUMERATIONS else _Field.TYPE_MESSAGE
                added.type_name = f".caffe.{inner}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in _MESSAGES}


_CLASSES = _messages()
BlobProto = _CLASSES["BlobProto"]
NetParameter = _CLASSES["NetParameter"]
