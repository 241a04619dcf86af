"""What every model is made of: sums, norms and non-linearities in float64.

Sources: Zhang and Sennrich 2019 (RMS norm), Ba et al. 2016 (layer norm), Hendrycks and Gimpel 2016 (GELU, both forms), Shazeer 2020 (SiLU in
gated MLPs), So et al. 2021 (squared ReLU), Katharopoulos et al. 2020 (elu + 1).
"""

import math
import operator
import struct

MASK32, MASK64 = 2**32 - 1, 2**64 - 1


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def dot(a, b):
    assert len(a) == len(b)
    return math.fsum(map(operator.mul, a, b))


def add(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def linear(parameters, x):
    matrix, bias = parameters
    return [dot(row, x) + b for row, b in zip(matrix, bias, strict=True)]


def normalize(parameters, x, eps):
    scale, bias = parameters
    if bias is None:
        rms = math.sqrt(dot(x, x) / len(x) + eps)
        return [value / rms * s for value, s in zip(x, scale, strict=True)]
    mean = math.fsum(x) / len(x)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in x) / len(x) + eps)
    return [(value - mean) / deviation * s + b for value, s, b in zip(x, scale, bias, strict=True)]


def softmax(scores):
    largest = max(scores)
    exps = [math.exp(score - largest) for score in scores]
    total = math.fsum(exps)
    return [e / total for e in exps]


def relu(x):
    return max(x, 0.0)


def squared_relu(x):
    return max(x, 0.0) ** 2


def gelu_tanh(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_erf(x):
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def silu(x):
    return x * sigmoid(x)


def elu_plus_one(x):
    """elu(x) + 1: x + 1 above zero, e^x below."""
    return x + 1 if x > 0 else math.exp(x)


ACTIVATIONS = {"relu": relu, "gelu_tanh": gelu_tanh, "gelu_erf": gelu_erf, "silu": silu, "squared_relu": squared_relu}
