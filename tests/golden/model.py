"""Decoders, encoders and encoder-decoders, all positions at once and without a cache: the plain definitions.

Sources: Vaswani et al. 2017 (attention, post-norm, the two stacks), Radford et al. 2019 (pre-norm, learned positions), Ding et al. 2021
(norms on both sides), Henry et al. 2020 (query-key norm), Wang and Komatsuzaki 2021 (attention beside the MLP), Shazeer 2019 and Ainslie et
al. 2023 (shared keys), Beltagy et al. 2020 (windows, global tokens), Liu et al. 2018 (prefixes), Katharopoulos et al. 2020 (linear
attention), Devlin et al. 2018 (encoders, poolers, classifiers), Reimers and Gurevych 2019 (pooling), Dosovitskiy et al. 2021 (patches, class
token), Radford et al. 2022 (convolutions before the encoder).
"""

import math

from arithmetic import ACTIVATIONS, add, dot, elu_plus_one, f32, linear, normalize, relu, softmax
from positions import bucket, rotate, sinusoid, slopes
from weights import architecture


def eps_of(shape):
    return f32(shape["norm_eps"])


# --- Attention ------------------------------------------------------------------------------------------------------------------------


def mask_of(shape, side):
    """Whether the query at q may see the key at k: a function. `side` says which stack asks."""
    if side == "encoder":
        if shape.get("mask") != "local":
            return lambda q, k: True
        window, first = shape["window"], shape.get("globals", 0)
        return lambda q, k: abs(q - k) <= window or q < first or k < first
    if shape.get("mask") == "prefix":
        return lambda q, k: k <= q or max(q, k) < shape["prefix"]
    window = shape["window"]
    return lambda q, k: k <= q and (not window or q - k < window)


def addends_of(shape, model, side):
    """What is added to the score of head h between the query at q and the key at k: a function."""
    if shape["positions"] == "alibi":
        slope = slopes(shape["heads"])
        return lambda h, q, k: -slope[h] * abs(q - k)
    if shape["positions"] == "buckets":
        two = architecture(shape) == "encoder_decoder" and side == "encoder"
        table, both = model["encoder_buckets" if two else "buckets"], side == "encoder"
        return lambda h, q, k: table[h][bucket(k - q, shape["buckets"], both)]
    return lambda h, q, k: 0.0


def heads_of(row, count):
    size = len(row) // count
    return [row[i * size : (i + 1) * size] for i in range(count)]


def projected_heads(shape, layer, name, rows, placed):
    """Heads of the queries or keys of all rows, normed and turned where the model does so and `placed` says that rows have positions."""
    count = shape["heads"] if name == "query" else shape["kv_heads"]
    all_heads = []
    for position, x in enumerate(rows):
        heads = heads_of(linear(layer[name], x), count)
        if f"{name}_norm" in layer:
            heads = [normalize(layer[f"{name}_norm"], head, eps_of(shape)) for head in heads]
        if shape["positions"] == "rotary" and placed:
            heads = [rotate(shape, head, position) for head in heads]
        all_heads.append(heads)
    return all_heads


def mixed(shape, query, keys, values, addends):
    """What one head's query finds: values by their shares."""
    if shape.get("attention") == "linear":
        mapped = [elu_plus_one(x) for x in query]
        weights = [dot(mapped, [elu_plus_one(x) for x in key]) for key in keys]
        total = math.fsum(weights)
        shares = [weight / total for weight in weights]
    else:
        scale = f32(shape.get("score_scale", 0.0)) or 1 / math.sqrt(len(query))
        shares = softmax([dot(query, key) * scale + addend for key, addend in zip(keys, addends, strict=True)])
    return [dot(shares, column) for column in zip(*values, strict=True)]


def attention(shape, layer, asking, asked, sees, addend, placed=True):
    """Rows of all positions in, rows of all positions out."""
    queries = projected_heads(shape, layer, "query", asking, placed)
    keys = projected_heads(shape, layer, "key", asked, placed)
    values = [heads_of(linear(layer["value"], x), shape["kv_heads"]) for x in asked]
    out = []
    for q, heads in enumerate(queries):
        seen = [k for k in range(len(asked)) if sees(q, k)]
        attended = []
        for h, query in enumerate(heads):
            shared = h // (shape["heads"] // shape["kv_heads"])
            addends = [addend(h, q, k) for k in seen]
            attended += mixed(shape, query, [keys[k][shared] for k in seen], [values[k][shared] for k in seen], addends)
        out.append(linear(layer["attn_out"], attended))
    return out


# --- Blocks ---------------------------------------------------------------------------------------------------------------------------


def mlp(shape, layer, x):
    activation = ACTIVATIONS[shape["activation"]]
    up = linear(layer["up"], x)
    if shape["gated"]:
        inner = [activation(g) * u for g, u in zip(linear(layer["gate"], x), up, strict=True)]
    else:
        inner = [activation(u) for u in up]
    return linear(layer["down"], inner)


def around(shape, layer, name, rows, sublayer):
    """A sublayer with its norm (or norms) and the residual sum. Without a norm behind it, a sublayer of a sandwich is as with pre-norm."""
    eps = eps_of(shape)
    if shape["placement"] == "post":
        return [normalize(layer[f"{name}_norm"], add(x, y), eps) for x, y in zip(rows, sublayer(rows), strict=True)]
    changes = sublayer([normalize(layer[f"{name}_norm"], x, eps) for x in rows])
    if f"{name}_post_norm" in layer:
        changes = [normalize(layer[f"{name}_post_norm"], y, eps) for y in changes]
    return [add(x, y) for x, y in zip(rows, changes, strict=True)]


def layer_embedding(shape, layer, x, token):
    """x += norm(project(activation(gate x) * the token's row in the layer's own table))."""
    activation = ACTIVATIONS[shape["activation"]]
    gated = [activation(g) * t for g, t in zip(linear(layer["layer_gate"], x), layer["layer_table"][token], strict=True)]
    return add(x, normalize(layer["layer_norm"], linear(layer["layer_project"], gated), eps_of(shape)))


def block(shape, layer, rows, sees, addend, source, tokens):
    def attend(inputs):
        return attention(shape, layer, inputs, inputs, sees, addend)

    def look_across(inputs):
        return attention(shape, layer["cross"], inputs, source, lambda q, k: True, lambda h, q, k: 0.0, placed=False)

    def think(inputs):
        return [mlp(shape, layer, x) for x in inputs]

    if shape.get("parallel"):
        normed = [[normalize(layer[name], x, eps_of(shape)) for x in rows] for name in ("attn_norm", "mlp_norm")]
        return [add(x, add(a, m)) for x, a, m in zip(rows, attend(normed[0]), think(normed[1]), strict=True)]
    rows = around(shape, layer, "attn", rows, attend)
    if source is not None:
        rows = around(shape, layer, "cross", rows, look_across)
    rows = around(shape, layer, "mlp", rows, think)
    if "layer_table" in layer:
        rows = [layer_embedding(shape, layer, x, token) for x, token in zip(rows, tokens, strict=True)]
    return rows


# --- What comes in --------------------------------------------------------------------------------------------------------------------


def convolution(shape, parameters, rows, stride):
    """Width 3 with a row of zeros on either side; each kernel's row holds the inputs of the first tap, then the second's, then the third's."""
    activation, zeros = ACTIVATIONS[shape["activation"]], [0.0] * len(rows[0])
    padded = [zeros, *rows, zeros]
    taps = [padded[at] + padded[at + 1] + padded[at + 2] for at in range(0, len(rows), stride)]
    return [[activation(y) for y in linear(parameters, x)] for x in taps]


def in_front(shape, model, given):
    """Rows of a source of features."""
    if shape["front"] == "convolution":
        return convolution(shape, model["front_second"], convolution(shape, model["front_first"], given, 1), 2)
    rows = [linear(model["front_first"], x) for x in given]
    return [model["class_token"], *rows] if "class_token" in model else rows


def embedded(shape, model, given, side):
    """Rows before the first block: tokens or features, then positions, then a norm where there is one."""
    two = architecture(shape) == "encoder_decoder"
    if shape.get("front") and side == "encoder":
        rows = in_front(shape, model, given)
    else:
        scale = f32(shape.get("embedding_scale", 0.0)) or 1.0
        rows = [[x * scale for x in model["embedding"][token]] for token in given]
    if shape["positions"] == "learned":
        table = model["encoder_positions" if two and side == "encoder" else "positions"]
        rows = [add(x, table[t]) for t, x in enumerate(rows)]
    if shape["positions"] == "sinusoidal":
        rows = [add(x, sinusoid(t, shape["d_model"])) for t, x in enumerate(rows)]
    if "embedding_norm" in model:
        rows = [normalize(model["embedding_norm"], x, eps_of(shape)) for x in rows]
    return rows


def stack(shape, model, given, side, source=None):
    """The row of every position behind a stack and its final norm."""
    rows = embedded(shape, model, given, side)
    encoder_layers = shape.get("encoder_layers", 0)
    encodes = side == "encoder" and encoder_layers
    sees, addend = mask_of(shape, side), addends_of(shape, model, side)
    for layer in model["layers"][:encoder_layers] if encodes else model["layers"][encoder_layers:]:
        rows = block(shape, layer, rows, sees, addend, source, given)
    if shape["final_norm"]:
        rows = [normalize(model["encoder_norm" if encodes else "final_norm"], x, eps_of(shape)) for x in rows]
    return rows


# --- What comes out -------------------------------------------------------------------------------------------------------------------


def logits(shape, model, tokens, source=None):
    """Logits after every token of a decoder; `source` holds an encoder's rows."""
    return [linear(model["head"], x) for x in stack(shape, model, tokens, "decoder", source)]


def encoded(shape, model, given):
    """What an encoder makes of a sequence: an embedding, the labels of the sequence, or the labels of its rows, one row after another."""
    rows = stack(shape, model, given, "encoder")
    if shape.get("classifier") == "tokens":
        return [x for row in rows for x in linear(model["classifier"], row)]
    pooled = {"first": rows[0], "last": rows[-1]}.get(shape["pooling"]) or [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
    if shape.get("classifier") == "sequence":
        if "pooler" in model:
            bend = {"tanh": math.tanh, "relu": relu}[shape["pooler"]]
            pooled = [bend(x) for x in linear(model["pooler"], pooled)]
        return linear(model["classifier"], pooled)
    length = math.sqrt(dot(pooled, pooled)) if shape["normalized"] else 1.0
    return [x / length for x in pooled]
