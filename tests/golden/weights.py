"""Weights that need no file: every tensor of a shape, drawn in the order that README.md states."""

from arithmetic import MASK32


class Numbers:
    """xorshift32 (Marsaglia 2003); its upper 16 bits as a fraction in [-1, 1), exact in f32 and as good as exact in f16."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        x = self.state
        x ^= (x << 13) & MASK32
        x ^= x >> 17
        x ^= (x << 5) & MASK32
        self.state = x
        return ((x >> 16) - 32768) / 32768

    def matrix(self, rows, columns, scale=None):
        """Rows after rows. The scale is a power of two near sqrt(3 / columns), so that products keep the size of their input."""
        scale = scale or 2.0 / 2 ** (columns.bit_length() // 2)
        return [[self.next() * scale for _ in range(columns)] for _ in range(rows)]

    def linear(self, rows, columns, bias):
        return self.matrix(rows, columns), [self.next() / 8 for _ in range(rows)] if bias else [0.0] * rows

    def norm(self, width, kind):
        scale = [1 + self.next() / 4 for _ in range(width)]
        return scale, [self.next() / 8 for _ in range(width)] if kind == "layer" else None


def architecture(shape):
    if shape.get("encoder_layers"):
        return "encoder_decoder"
    return "encoder" if shape.get("pooling") or shape.get("classifier") else "decoder"


def weights(shape):
    """All tensors of a shape, drawn in this order; a bias follows its matrix."""
    numbers = Numbers(shape["seed"])
    d, bias, norm, wiring = shape["d_model"], shape["bias"], shape["norm"], architecture(shape)
    model = {"layers": []}
    if shape["vocab"]:
        model["embedding"] = numbers.matrix(shape["vocab"], d, 1.0)
    if shape["positions"] == "learned":
        model["positions"] = numbers.matrix(shape["context"], d, 0.5)
        if wiring == "encoder_decoder":
            model["encoder_positions"] = numbers.matrix(shape["encoder_context"], d, 0.5)
    if shape["positions"] == "buckets":
        model["buckets"] = numbers.matrix(shape["heads"], shape["buckets"], 1.0)
        if wiring == "encoder_decoder":
            model["encoder_buckets"] = numbers.matrix(shape["heads"], shape["buckets"], 1.0)
    if shape.get("embedding_norm"):
        model["embedding_norm"] = numbers.norm(d, norm)
    if shape.get("front") == "patches":
        model["front_first"] = numbers.linear(d, shape["features"], bias)
    if shape.get("front") == "convolution":
        model["front_first"] = numbers.linear(d, 3 * shape["features"], bias)
        model["front_second"] = numbers.linear(d, 3 * d, bias)
    if shape.get("class_token"):
        model["class_token"] = numbers.matrix(1, d, 0.5)[0]
    encoder_layers = shape.get("encoder_layers", 0)
    for index in range(encoder_layers + shape["layers"]):
        model["layers"].append(layer_weights(shape, numbers, cross=wiring == "encoder_decoder" and index >= encoder_layers))
    if shape["final_norm"]:
        model["final_norm"] = numbers.norm(d, norm)
        if wiring == "encoder_decoder":
            model["encoder_norm"] = numbers.norm(d, norm)
    if wiring != "encoder":
        matrix = model["embedding"] if shape["tied"] else numbers.matrix(shape["vocab"], d)
        addends = [numbers.next() / 8 for _ in matrix] if shape.get("head_bias") else [0.0] * len(matrix)
        model["head"] = matrix, addends
    if shape.get("pooler"):
        model["pooler"] = numbers.linear(d, d, bias)
    if shape.get("classifier"):
        model["classifier"] = numbers.linear(shape["labels"], d, bias)
    return model


def layer_weights(shape, numbers, cross):
    d, hidden, bias, norm, head = shape["d_model"], shape["d_hidden"], shape["bias"], shape["norm"], shape["head_dim"]
    q_dim, kv_dim = shape["heads"] * head, shape["kv_heads"] * head
    projections = [("query", q_dim, d), ("key", kv_dim, d), ("value", kv_dim, d), ("attn_out", d, q_dim)]
    layer = {"attn_norm": numbers.norm(d, norm)}
    for name, rows, columns in projections:
        layer[name] = numbers.linear(rows, columns, bias)
    if shape.get("qk_norm"):
        layer["query_norm"] = numbers.norm(head, norm)
        layer["key_norm"] = numbers.norm(head, norm)
    if shape["placement"] == "sandwich":
        layer["attn_post_norm"] = numbers.norm(d, norm)
    if cross:
        layer["cross_norm"] = numbers.norm(d, norm)
        layer["cross"] = {name: numbers.linear(rows, columns, bias) for name, rows, columns in projections}
    layer["mlp_norm"] = numbers.norm(d, norm)
    if shape["gated"]:
        layer["gate"] = numbers.linear(hidden, d, bias)
    layer["up"] = numbers.linear(hidden, d, bias)
    layer["down"] = numbers.linear(d, hidden, bias)
    if shape["placement"] == "sandwich":
        layer["mlp_post_norm"] = numbers.norm(d, norm)
    if width := shape.get("layer_dim", 0):
        layer["layer_table"] = numbers.matrix(shape["vocab"], width, 1.0)
        layer["layer_gate"] = numbers.linear(width, d, bias)
        layer["layer_project"] = numbers.linear(d, width, bias)
        layer["layer_norm"] = numbers.norm(d, norm)
    return layer


def feature_rows(shape, frames, seed):
    """Frames of a source that is not text."""
    return Numbers(seed).matrix(frames, shape["features"], 1.0)
