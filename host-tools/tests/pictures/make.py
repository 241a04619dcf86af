"""Pictures, and what Pillow and numpy make of them: the PNG and JPEG files beside this and expected.json.

    pip install pillow==13.0.0 numpy==2.4.6
    python3 make.py

Each case is a picture and a preprocessor_config.json. Its pixels are those that the model sees, by Pillow's resize and a crop of the middle, as Hugging
Face's image processors have it; its logits come from a vision transformer (Dosovitskiy et al. 2021) in float64 whose weights follow from their names
(`common/values.rs`). The files' values do not matter, only that they differ from pixel to pixel.
"""

import json
import math
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
SIDE, PATCH, WIDTH, HEADS, HIDDEN, LAYERS, LABELS = 12, 4, 8, 2, 10, 2, 3
EPS = 1e-12


def value(name, index):
    mixed = 0x811C9DC5
    for byte in name.encode():
        mixed = ((mixed ^ byte) * 0x01000193) & 0xFFFFFFFF
    mixed = ((mixed ^ index) * 0x9E3779B1) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 15)) >> 8) / 8_388_608.0 - 1.0


def tensor(name, *shape):
    return np.array([value(name, index) for index in range(math.prod(shape))]).reshape(shape)


def linear(name, x, outputs):
    return x @ tensor(f"{name}.weight", outputs, x.shape[-1]).T + tensor(f"{name}.bias", outputs)


def norm(name, x):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPS) * tensor(f"{name}.weight", WIDTH) + tensor(f"{name}.bias", WIDTH)


def attention(name, x):
    q, k, v = (linear(f"{name}.attention.{part}", x, WIDTH) for part in ("query", "key", "value"))
    heads = []
    for head in np.split(np.arange(WIDTH), HEADS):
        scores = q[:, head] @ k[:, head].T / math.sqrt(WIDTH // HEADS)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, head])
    return linear(f"{name}.output.dense", np.concatenate(heads, -1), WIDTH)


def classify(pixels, processor):
    """Logits of pixels (rows, columns, colours) of 0 to 255."""
    x = (pixels * processor.get("rescale_factor", 1 / 255) - processor["image_mean"]) / processor["image_std"]
    kernel = tensor("vit.embeddings.patch_embeddings.projection.weight", WIDTH, 3, PATCH, PATCH)
    bias = tensor("vit.embeddings.patch_embeddings.projection.bias", WIDTH)
    patches = [
        np.einsum("yxc,ocyx->o", x[top : top + PATCH, left : left + PATCH], kernel) + bias
        for top in range(0, SIDE, PATCH)
        for left in range(0, SIDE, PATCH)
    ]
    x = np.stack([tensor("vit.embeddings.cls_token", WIDTH), *patches])
    x = x + tensor("vit.embeddings.position_embeddings", len(x), WIDTH)
    erf = np.vectorize(math.erf)
    for layer in range(LAYERS):
        name = f"vit.encoder.layer.{layer}"
        x = x + attention(f"{name}.attention", norm(f"{name}.layernorm_before", x))
        hidden = linear(f"{name}.intermediate.dense", norm(f"{name}.layernorm_after", x), HIDDEN)
        x = x + linear(f"{name}.output.dense", 0.5 * hidden * (1 + erf(hidden / math.sqrt(2))), WIDTH)
    return linear("classifier", norm("vit.layernorm", x)[0], LABELS)


def see(picture, processor):
    """The pixels that the model sees."""
    picture = picture.convert("RGB")
    size = processor["size"]
    width, height = picture.size
    if "shortest_edge" in size:
        edge = size["shortest_edge"]
        size = (edge, int(edge * height / width)) if width <= height else (int(edge * width / height), edge)
    else:
        size = (size["width"], size["height"])
    picture = picture.resize(size, processor["resample"])
    left, top = (picture.width - SIDE) // 2, (picture.height - SIDE) // 2
    return np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)))


def drawn(height, width, channels):
    """Waves and edges, a byte a value."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    waves = 90 * np.sin(0.9 * x / (1 + c) + 0.5 * y) + 40 * ((x // 3 + y // 4 + c) % 2)
    return np.clip(127 + waves, 0, 255).astype(np.uint8)


def png(path, values, colour_type):
    """A PNG of sixteen bits a value, which Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def main():
    rgb = Image.fromarray(drawn(25, 40, 3))
    pictures = {
        "exact.png": Image.fromarray(drawn(SIDE, SIDE, 3)),
        "wide.png": rgb,
        "tall.png": Image.fromarray(drawn(31, 13, 3)),
        "small.png": Image.fromarray(drawn(5, 7, 3)),
        "grey.png": Image.fromarray(drawn(SIDE, SIDE, 1)[:, :, 0]),
        "palette.png": Image.fromarray(drawn(SIDE, SIDE, 3)).quantize(16),
        "alpha.png": Image.fromarray(drawn(SIDE, SIDE, 4)),
        "grey_alpha.png": Image.fromarray(drawn(SIDE, SIDE, 2)),
        "two.png": Image.fromarray(drawn(SIDE, SIDE, 1)[:, :, 0] > 127),
        "photo.jpg": Image.fromarray(drawn(SIDE, SIDE, 3)),
    }
    for name, picture in pictures.items():
        picture.save(HERE / name, **({"quality": 95, "subsampling": 0} if name.endswith("jpg") else {"optimize": True}))
    # Sixteen bits a value; the model sees the nearest of eight.
    deep = drawn(SIDE, SIDE, 3).astype(np.uint16) * 256 + np.arange(SIDE * SIDE * 3, dtype=np.uint16).reshape(SIDE, SIDE, 3) % 256
    png(HERE / "deep.png", deep, 2)
    png(HERE / "deep_grey.png", deep[:, :, 0], 0)
    nearest = np.round(deep / 257).astype(np.uint8)
    deep_ones = {"deep.png": Image.fromarray(nearest), "deep_grey.png": Image.fromarray(nearest[:, :, 0])}

    norms = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2]}
    plain = {"size": {"height": SIDE, "width": SIDE}, "resample": 2, **norms}
    cases = [(name, plain) for name in [*pictures, *deep_ones]]
    for name in ("wide.png", "tall.png", "small.png"):
        cases += [(name, {**plain, "resample": filter}) for filter in (0, 1, 3)]
        edge = {"size": {"shortest_edge": 14}, "do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE}}
        cases.append((name, {**plain, **edge, "resample": 3}))
    expected = []
    for name, processor in cases:
        pixels = see(deep_ones.get(name) or Image.open(HERE / name), processor)
        logits = [round(float(x), 7) for x in classify(pixels.astype(np.float64), processor)]
        expected.append({"picture": name, "processor": processor, "pixels": pixels.tobytes().hex(), "logits": logits})
    (HERE / "expected.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in expected) + "\n]\n")


main()
