#!/usr/bin/env python3
"""Golden values from outside the engine: transformer decoders and encoders in float64, written from the papers, standard library only.

Run `python3 reference.py > golden.json` in this folder; the output is the same on every machine. README.md says what is in it.

Sources: Vaswani et al. 2017 (attention, post-norm), Radford et al. 2019 (pre-norm, learned positions), Zhang and Sennrich 2019 (RMS norm),
Ba et al. 2016 (layer norm), Su et al. 2021 (rotary positions, neighbour pairs), Shazeer 2020 (gated MLP), Hendrycks and Gimpel 2016 (GELU,
both forms), Ainslie et al. 2023 (grouped queries), Beltagy et al. 2020 (sliding window), Sennrich et al. 2016 (byte-pair encoding),
Devlin et al. 2018 (encoders: every token sees all others, a norm behind the embedding), Reimers and Gurevych 2019 (pooling).
"""

import json
import math
import struct
import sys
import zlib

MASK32, MASK64 = 2**32 - 1, 2**64 - 1


# --- Weights that need no file -------------------------------------------------------------------------------------------------------


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


def weights(shape):
    """All tensors of a shape, drawn in this order; a bias follows its matrix."""
    numbers = Numbers(shape["seed"])
    d, hidden, bias = shape["d_model"], shape["d_hidden"], shape["bias"]
    q_dim, kv_dim = shape["heads"] * shape["head_dim"], shape["kv_heads"] * shape["head_dim"]
    model = {"embedding": numbers.matrix(shape["vocab"], d, 1.0), "layers": []}
    if shape["positions"] == "learned":
        model["positions"] = numbers.matrix(shape["context"], d, 0.5)
    if shape.get("embedding_norm"):
        model["embedding_norm"] = numbers.norm(d, shape["norm"])
    for _ in range(shape["layers"]):
        layer = {"attn_norm": numbers.norm(d, shape["norm"])}
        for name, rows, columns in [("query", q_dim, d), ("key", kv_dim, d), ("value", kv_dim, d), ("attn_out", d, q_dim)]:
            layer[name] = numbers.linear(rows, columns, bias)
        layer["mlp_norm"] = numbers.norm(d, shape["norm"])
        if shape["gated"]:
            layer["gate"] = numbers.linear(hidden, d, bias)
        layer["up"] = numbers.linear(hidden, d, bias)
        layer["down"] = numbers.linear(d, hidden, bias)
        model["layers"].append(layer)
    if shape["final_norm"]:
        model["final_norm"] = numbers.norm(d, shape["norm"])
    if not shape["tied"] and not shape.get("pooling"):
        model["head"] = numbers.matrix(shape["vocab"], d)
    return model


# --- Decoders and encoders ---------------------------------------------------------------------------------------------------------------------


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


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


def relu(x):
    return max(x, 0.0)


def gelu_tanh(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_erf(x):
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def silu(x):
    return x * sigmoid(x)


ACTIVATIONS = {"relu": relu, "gelu_tanh": gelu_tanh, "gelu_erf": gelu_erf, "silu": silu}


def rotate(head, position):
    """Pair i of a head turns by position * 10000^(-2i / head_dim)."""
    turned = list(head)
    for i in range(0, len(head), 2):
        angle = position * 10000.0 ** (-i / len(head))
        turned[i] = head[i] * math.cos(angle) - head[i + 1] * math.sin(angle)
        turned[i + 1] = head[i] * math.sin(angle) + head[i + 1] * math.cos(angle)
    return turned


def heads_of(row, count, position, shape):
    size = len(row) // count
    heads = [row[i * size : (i + 1) * size] for i in range(count)]
    return [rotate(head, position) for head in heads] if shape["positions"] == "rotary" and position is not None else heads


def softmax(scores):
    largest = max(scores)
    exps = [math.exp(score - largest) for score in scores]
    total = math.fsum(exps)
    return [e / total for e in exps]


def attention(shape, layer, rows):
    """Rows of all positions in, rows of all positions out: the plain definition, without a cache."""
    queries = [heads_of(linear(layer["query"], x), shape["heads"], t, shape) for t, x in enumerate(rows)]
    keys = [heads_of(linear(layer["key"], x), shape["kv_heads"], t, shape) for t, x in enumerate(rows)]
    values = [heads_of(linear(layer["value"], x), shape["kv_heads"], None, shape) for x in rows]
    out = []
    for t in range(len(rows)):
        first = max(0, t + 1 - shape["window"]) if shape["window"] else 0
        attended = []
        for head, query in enumerate(queries[t]):
            shared = head // (shape["heads"] // shape["kv_heads"])
            seen = range(len(rows)) if shape.get("pooling") else range(first, t + 1)
            shares = softmax([dot(query, keys[s][shared]) / math.sqrt(len(query)) for s in seen])
            columns = zip(*(values[s][shared] for s in seen), strict=True)
            attended += [dot(shares, column) for column in columns]
        out.append(linear(layer["attn_out"], attended))
    return out


def mlp(shape, layer, x):
    activation = ACTIVATIONS[shape["activation"]]
    up = linear(layer["up"], x)
    if shape["gated"]:
        inner = [activation(g) * u for g, u in zip(linear(layer["gate"], x), up, strict=True)]
    else:
        inner = [activation(u) for u in up]
    return linear(layer["down"], inner)


def stack(shape, model, tokens):
    """The row of every token behind the last layer and the final norm."""
    eps = f32(shape["norm_eps"])
    rows = [list(model["embedding"][token]) for token in tokens]
    if shape["positions"] == "learned":
        rows = [add(x, model["positions"][t]) for t, x in enumerate(rows)]
    if "embedding_norm" in model:
        rows = [normalize(model["embedding_norm"], x, eps) for x in rows]
    for layer in model["layers"]:
        sublayers = [
            ("attn_norm", lambda inputs: attention(shape, layer, inputs)),
            ("mlp_norm", lambda inputs: [mlp(shape, layer, x) for x in inputs]),
        ]
        for name, sublayer in sublayers:
            if shape["placement"] == "pre":
                changes = sublayer([normalize(layer[name], x, eps) for x in rows])
                rows = [add(x, y) for x, y in zip(rows, changes, strict=True)]
            else:
                rows = [normalize(layer[name], add(x, y), eps) for x, y in zip(rows, sublayer(rows), strict=True)]
    if shape["final_norm"]:
        rows = [normalize(model["final_norm"], x, eps) for x in rows]
    return rows


def forward(shape, tokens):
    """Logits after every token."""
    model = weights(shape)
    rows = stack(shape, model, tokens)
    head = model["embedding"] if shape["tied"] else model["head"]
    return [[dot(row, x) for row in head] for x in rows]


def embed(shape, tokens):
    """One row for the whole sequence."""
    rows = stack(shape, weights(shape), tokens)
    pooled = rows[0] if shape["pooling"] == "first" else [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
    length = math.sqrt(dot(pooled, pooled)) if shape["normalized"] else 1.0
    return [x / length for x in pooled]


def add(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


# --- What is written down ------------------------------------------------------------------------------------------------------------

PLAIN = {
    "norm": "rms", "placement": "pre", "activation": "silu", "gated": True, "positions": "rotary", "window": 0, "bias": False,
    "tied": True, "final_norm": True, "layers": 2, "context": 16, "norm_eps": 1e-5,
}  # fmt: skip

SHAPES = [
    {**PLAIN, "name": "llama, hidden 172, heads of 8", "d_model": 16, "d_hidden": 172, "heads": 4, "kv_heads": 2, "head_dim": 8,
     "vocab": 283},
    {**PLAIN, "name": "gpt-2, heads of 10, odd vocabulary", "norm": "layer", "activation": "gelu_tanh", "gated": False,
     "positions": "learned", "bias": True, "d_model": 20, "d_hidden": 57, "heads": 2, "kv_heads": 2, "head_dim": 10, "vocab": 61},
    {**PLAIN, "name": "vaswani, post-norm, no positions", "norm": "layer", "placement": "post", "activation": "relu", "gated": False,
     "positions": "none", "bias": True, "final_norm": False, "tied": False, "d_model": 24, "d_hidden": 48, "heads": 3, "kv_heads": 3,
     "head_dim": 8, "vocab": 67},
    {**PLAIN, "name": "mistral, window 3, grouped queries", "window": 3, "tied": False, "d_model": 36, "d_hidden": 50, "heads": 6,
     "kv_heads": 2, "head_dim": 10, "vocab": 77},
    {**PLAIN, "name": "one layer, one key head, width 7", "activation": "relu", "layers": 1, "d_model": 7, "d_hidden": 13, "heads": 4,
     "kv_heads": 1, "head_dim": 2, "vocab": 59},
    {**PLAIN, "name": "gated gelu, heads of 5, window 5", "norm": "layer", "activation": "gelu_tanh", "positions": "learned", "window": 5,
     "norm_eps": 1e-2, "d_model": 15, "d_hidden": 21, "heads": 3, "kv_heads": 3, "head_dim": 5, "vocab": 53},
    {**PLAIN, "name": "post-norm rms with rotary and bias", "placement": "post", "bias": True, "tied": False, "d_model": 18, "d_hidden": 33,
     "heads": 2, "kv_heads": 1, "head_dim": 14, "layers": 3, "vocab": 63},
]  # fmt: skip


ENCODER = {
    **PLAIN, "norm": "layer", "placement": "post", "activation": "gelu_erf", "gated": False, "positions": "learned", "bias": True,
    "tied": False, "final_norm": False, "embedding_norm": True, "pooling": "mean", "normalized": True, "norm_eps": 1e-12,
}  # fmt: skip

ENCODERS = [
    {**ENCODER, "name": "bert, heads of 8", "d_model": 24, "d_hidden": 96, "heads": 3, "kv_heads": 3, "head_dim": 8, "vocab": 71},
    {**ENCODER, "name": "bert, three layers, first row, odd widths", "pooling": "first", "normalized": False, "layers": 3, "d_model": 15,
     "d_hidden": 41, "heads": 3, "kv_heads": 3, "head_dim": 5, "vocab": 59},
    {**ENCODER, "name": "pre-norm, rotary, gated, grouped keys", "norm": "rms", "placement": "pre", "activation": "silu", "gated": True,
     "positions": "rotary", "bias": False, "final_norm": True, "embedding_norm": False, "d_model": 20, "d_hidden": 33, "heads": 4,
     "kv_heads": 2, "head_dim": 6, "vocab": 83},
    {**ENCODER, "name": "gated gelu, norms everywhere, no positions", "placement": "pre", "gated": True, "positions": "none",
     "final_norm": True, "normalized": False, "d_model": 12, "d_hidden": 27, "heads": 2, "kv_heads": 1, "head_dim": 10, "vocab": 61},
]  # fmt: skip


def digits(x):
    """Nine significant digits name an f32; what is compared is compared to four."""
    return float(f"{x:.9g}")


def decoders():
    for index, shape in enumerate(SHAPES):
        shape = {**shape, "seed": 2463534242 + index}
        tokens = [(17 * t * t + 5 * t + index) % shape["vocab"] for t in range(12)]
        logits = forward(shape, tokens)
        # A sixth of the logits, other ones at each position, and the length of the whole row.
        some = [[digits(x) for x in row[t % 6 :: 6]] for t, row in enumerate(logits)]
        yield {"shape": shape, "tokens": tokens, "some_logits": some, "lengths": [digits(math.sqrt(dot(row, row))) for row in logits]}


def encoders():
    for index, shape in enumerate(ENCODERS):
        shape = {**shape, "seed": 88675123 + index}
        texts = [[(31 * t * t + 7 * t + index) % shape["vocab"] for t in range(count)] for count in (1, 2, 5, 9, 16)]
        yield {"shape": shape, "texts": [{"tokens": tokens, "embedding": [digits(x) for x in embed(shape, tokens)]} for tokens in texts]}


def functions():
    """x, then the function's value there."""
    grid = [f32(-24 + 0.37 * i) for i in range(131)]
    below = [x for x in grid if x <= 0] + [-0.0, f32(-1e-30), f32(-1e-3), f32(-22.0), -40.0, -1e30]
    turns = [(2654435761 * i) & MASK32 for i in range(64)] + [0, 1 << 30, 1 << 31, 3 << 30, MASK32]
    return {
        "exp": [[x, math.exp(x)] for x in below],
        "sigmoid": [[x, sigmoid(x)] for x in grid],
        "silu": [[x, silu(x)] for x in grid],
        "gelu_tanh": [[x, gelu_tanh(x)] for x in grid],
        "gelu_erf": [[x, gelu_erf(x)] for x in grid],
        "sin_cos": [[t, math.sin(t / 2**32 * math.tau), math.cos(t / 2**32 * math.tau)] for t in turns],
    }


def splitmix64(state):
    """Steele, Lea, Flood 2014: the state after one step, and its number."""
    state = (state + 0x9E3779B97F4A7C15) & MASK64
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return state, z ^ (z >> 31)


def sampling():
    """Tokens drawn in float64. A draw within a millionth of an edge between two tokens is left out, as rounding may decide it."""
    numbers = Numbers(99)
    logits = [f32(4 * numbers.next()) for _ in range(23)]
    for temperature, top_k, top_p in [(1.0, 23, 1.0), (0.5, 23, 1.0), (2.0, 5, 1.0), (1.0, 23, 0.8), (0.75, 9, 0.6)]:
        shares = softmax([x / temperature for x in logits])
        order = sorted(range(len(logits)), key=lambda token: -shares[token])[:top_k]
        mass, kept = math.fsum(shares[token] for token in order), []
        for token in order:
            kept.append(token)
            if math.fsum(shares[token] for token in kept) >= top_p * mass:
                break
        total, draws = math.fsum(shares[token] for token in kept), []
        for seed in range(40):
            point = splitmix64(seed)[1] / 2**64 * total
            for token in sorted(kept):
                if point < shares[token]:
                    break
                point -= shares[token]
            if 1e-6 < point < shares[token] - 1e-6:
                draws.append([seed, token])
        yield {"logits": logits, "temperature": temperature, "top_k": top_k, "top_p": top_p, "draws": draws}


PIECES = " |l|o|w|e|r|n|s|t|lo|low|er|es|est| low|ne|new|é|ow|we".split("|")
FIRST_PIECE, FIRST_BYTE = 259, 3


def encode(text):
    """The best-scored pair first, the leftmost of equals; an earlier piece scores higher. What has no piece is bytes."""
    tokens = []
    for character in " " + text if text else "":
        known = PIECES.index(character) + FIRST_PIECE if character in PIECES else None
        tokens += [FIRST_BYTE + byte for byte in character.encode()] if known is None else [known]
    while True:
        pairs = []
        for at, (left, right) in enumerate(zip(tokens, tokens[1:])):
            if left >= FIRST_PIECE and right >= FIRST_PIECE:
                joined = PIECES[left - FIRST_PIECE] + PIECES[right - FIRST_PIECE]
                if joined in PIECES:
                    pairs.append((PIECES.index(joined), at))
        if not pairs:
            return tokens
        piece, at = min(pairs)
        tokens[at : at + 2] = [piece + FIRST_PIECE]


def tokenizer():
    texts = ["", "lower", "lowest newer", "low  low", "slow é wé", "neweréowl", "zoë", "日本 new", "<0x41>"]
    return {"pieces": PIECES, "texts": [{"text": text, "tokens": encode(text)} for text in texts]}


def output_hash(words):
    h = 0
    for word in words:
        rotated = ((h << 5) | (h >> 27)) & MASK32
        h = ((rotated ^ word) * 0x9E3779B1) & MASK32
    return h


def checks():
    numbers = Numbers(7)
    logits = [f32(numbers.next() * 3) for _ in range(10)]
    words = [struct.unpack("<I", struct.pack("<f", x))[0] for x in logits]
    pattern = bytes((7 * i + i // 5) & 255 for i in range(1000))
    return {
        "crc_of_digits": zlib.crc32(b"123456789"),
        "crc_of_pattern": zlib.crc32(pattern),
        "hash_logits": logits,
        "hash_token": 5,
        "output_hash": output_hash(words + [5]),
    }


def main():
    golden = {
        "decoders": list(decoders()),
        "encoders": list(encoders()),
        "functions": functions(),
        "sampling": list(sampling()),
        "tokenizer": tokenizer(),
        "checks": checks(),
    }
    json.dump(golden, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
