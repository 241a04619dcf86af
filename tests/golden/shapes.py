"""The shapes that golden.json covers. A seed follows from a shape's place in its list: new ones go to the end."""

PLAIN = {
    "norm": "rms", "placement": "pre", "activation": "silu", "gated": True, "positions": "rotary", "window": 0, "bias": False,
    "tied": True, "final_norm": True, "layers": 2, "context": 16, "norm_eps": 1e-5,
}  # fmt: skip

SMALL = {"d_model": 16, "d_hidden": 27, "heads": 4, "kv_heads": 2, "head_dim": 6, "vocab": 59}
GPT = {"norm": "layer", "activation": "gelu_erf", "gated": False, "bias": True, "kv_heads": 4}
PAPER = {**GPT, "placement": "post", "activation": "relu", "positions": "sinusoidal", "final_norm": False}

LLAMA3 = {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "original": 64}
YARN = {"kind": "yarn", "factor": 4.0, "original": 128}

DECODERS = [
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
    {**PLAIN, **SMALL, **PAPER, "name": "vaswani's decoder, sines and cosines", "embedding_scale": 4.0},
    {**PLAIN, **SMALL, **PAPER, "name": "sines and cosines of an odd width", "placement": "pre", "final_norm": True, "tied": False,
     "d_model": 15, "heads": 3, "kv_heads": 3, "head_dim": 5},
    {**PLAIN, **SMALL, **GPT, "name": "gpt-j, parallel, four of ten dimensions turn, head with bias", "activation": "gelu_tanh",
     "parallel": True, "rotary_dim": 4, "head_dim": 10, "tied": False, "head_bias": True},
    {**PLAIN, **SMALL, **GPT, "name": "neox, parallel, halves of four dimensions", "parallel": True, "rotary_dim": 4, "head_dim": 8,
     "half_split": True, "tied": False},
    {**PLAIN, **SMALL, "name": "qwen 3, halves, query-key norm", "qk_norm": True, "half_split": True, "head_dim": 8, "theta": 1e6},
    {**PLAIN, **SMALL, "name": "layer norm of queries and keys, halves, post-norm", "norm": "layer", "placement": "post", "qk_norm": True,
     "half_split": True, "bias": True, "rotary_dim": 6, "head_dim": 10, "kv_heads": 4},
    {**PLAIN, **SMALL, "name": "rotary of a large theta", "theta": 500000.0, "head_dim": 12},
    {**PLAIN, **SMALL, "name": "rotary, linear scaling", "scaling": {"kind": "linear", "factor": 4.0}, "half_split": True},
    {**PLAIN, **SMALL, "name": "rotary, ntk scaling", "scaling": {"kind": "ntk", "factor": 3.0}, "head_dim": 10},
    {**PLAIN, **SMALL, "name": "rotary, yarn", "scaling": YARN, "half_split": True, "head_dim": 16, "heads": 2, "kv_heads": 1},
    {**PLAIN, **SMALL, "name": "rotary, llama 3 scaling", "scaling": LLAMA3, "half_split": True, "head_dim": 16, "theta": 500000.0},
    {**PLAIN, **SMALL, **GPT, "name": "alibi, four heads, norm behind the embedding", "positions": "alibi", "embedding_norm": True},
    {**PLAIN, **SMALL, "name": "alibi, six heads, shared keys, window 7", "positions": "alibi", "window": 7, "heads": 6},
    {**PLAIN, **SMALL, **GPT, "name": "alibi, three heads", "positions": "alibi", "heads": 3, "kv_heads": 3, "activation": "relu"},
    {**PLAIN, **SMALL, "name": "t5's decoder alone, 8 buckets", "positions": "buckets", "buckets": 8, "score_scale": 1.0,
     "activation": "relu", "gated": False},
    {**PLAIN, **SMALL, "name": "32 buckets, beyond the largest distance", "positions": "buckets", "buckets": 32, "layers": 1,
     "context": 150, "kept": 10, "tied": False},
    {**PLAIN, **SMALL, "name": "prefix of five, rotary", "mask": "prefix", "prefix": 5},
    {**PLAIN, **SMALL, **GPT, "name": "prefix of eight, learned positions", "mask": "prefix", "prefix": 8, "positions": "learned",
     "tied": False},
    {**PLAIN, **SMALL, "name": "prefix of one, alone", "mask": "prefix", "prefix": 1, "positions": "none", "kv_heads": 1},
    {**PLAIN, **SMALL, **GPT, "name": "linear attention, learned positions", "attention": "linear", "positions": "learned"},
    {**PLAIN, **SMALL, "name": "linear attention, shared keys, no positions, post-norm", "attention": "linear", "positions": "none",
     "placement": "post", "final_norm": False, "tied": False, "layers": 3},
    {**PLAIN, **SMALL, "name": "gemma, sandwich, query-key norm, scaled embedding", "placement": "sandwich", "qk_norm": True,
     "activation": "gelu_tanh", "embedding_scale": 4.0, "score_scale": 0.25, "half_split": True, "kv_heads": 1, "norm_eps": 1e-6},
    {**PLAIN, **SMALL, "name": "gemma 3n, per-layer embeddings of 5", "placement": "sandwich", "qk_norm": True, "layer_dim": 5,
     "activation": "gelu_tanh", "embedding_scale": 4.0, "window": 4, "norm_eps": 1e-6},
    {**PLAIN, **SMALL, **GPT, "name": "per-layer embeddings of 8, layer norm, bias, post-norm", "placement": "post", "layer_dim": 8,
     "positions": "learned", "activation": "gelu_tanh", "d_model": 20, "heads": 5, "kv_heads": 5, "head_dim": 4},
    {**PLAIN, **SMALL, **GPT, "name": "sandwich of layer norms, no positions", "placement": "sandwich", "positions": "none",
     "final_norm": False, "tied": False},
    {**PLAIN, **SMALL, "name": "squared relu, a score scale of its own", "activation": "squared_relu", "gated": False, "score_scale": 0.125},
    {**PLAIN, **SMALL, "name": "gated squared relu, one key head, tied head with bias", "activation": "squared_relu", "kv_heads": 1,
     "bias": True, "head_bias": True, "positions": "learned"},
    {**PLAIN, **SMALL, "name": "parallel rms with a gate, prefix of three", "parallel": True, "mask": "prefix", "prefix": 3},
    {**PLAIN, **SMALL, **GPT, "name": "linear attention beside the mlp, query-key norm", "attention": "linear", "positions": "none",
     "parallel": True, "qk_norm": True},
]  # fmt: skip


ENCODER = {
    **PLAIN, "norm": "layer", "placement": "post", "activation": "gelu_erf", "gated": False, "positions": "learned", "bias": True,
    "tied": False, "final_norm": False, "embedding_norm": True, "pooling": "mean", "normalized": True, "norm_eps": 1e-12,
}  # fmt: skip

LATER = {
    **ENCODER, **SMALL, "norm": "rms", "placement": "pre", "activation": "silu", "gated": True, "positions": "rotary", "bias": False,
    "final_norm": True, "embedding_norm": False, "normalized": False, "norm_eps": 1e-6,
}  # fmt: skip
BERT = {**ENCODER, **SMALL, "kv_heads": 4, "normalized": False}
SEQUENCE = {"classifier": "sequence", "labels": 7, "pooling": "first"}
TOKENS = {"classifier": "tokens", "labels": 5, "pooling": None}
PATCHES = {"front": "patches", "vocab": 0, "embedding_norm": False}
STEM = {"front": "convolution", "vocab": 0, "embedding_norm": False, "placement": "pre", "final_norm": True}

ENCODERS = [
    {**ENCODER, "name": "bert, heads of 8", "d_model": 24, "d_hidden": 96, "heads": 3, "kv_heads": 3, "head_dim": 8, "vocab": 71},
    {**ENCODER, "name": "bert, three layers, first row, odd widths", "pooling": "first", "normalized": False, "layers": 3, "d_model": 15,
     "d_hidden": 41, "heads": 3, "kv_heads": 3, "head_dim": 5, "vocab": 59},
    {**ENCODER, "name": "pre-norm, rotary, gated, grouped keys", "norm": "rms", "placement": "pre", "activation": "silu", "gated": True,
     "positions": "rotary", "bias": False, "final_norm": True, "embedding_norm": False, "d_model": 20, "d_hidden": 33, "heads": 4,
     "kv_heads": 2, "head_dim": 6, "vocab": 83},
    {**ENCODER, "name": "gated gelu, norms everywhere, no positions", "placement": "pre", "gated": True, "positions": "none",
     "final_norm": True, "normalized": False, "d_model": 12, "d_hidden": 27, "heads": 2, "kv_heads": 1, "head_dim": 10, "vocab": 61},
    {**BERT, "name": "alibi on both sides, six heads", "positions": "alibi", "heads": 6, "kv_heads": 3},
    {**LATER, "name": "t5's encoder alone, 32 buckets, beyond the largest distance", "positions": "buckets", "buckets": 32, "layers": 1,
     "score_scale": 1.0, "context": 150, "heads": 2, "kv_heads": 2, "long": 150},
    {**LATER, "name": "12 buckets, last row at length 1", "positions": "buckets", "buckets": 12, "pooling": "last", "normalized": True},
    {**BERT, "name": "longformer, two to either side, one global token", "mask": "local", "window": 2, "globals": 1},
    {**LATER, "name": "three to either side, four global tokens, rotary", "mask": "local", "window": 3, "globals": 4},
    {**LATER, "name": "one to either side, none global", "mask": "local", "window": 1, "kv_heads": 1, "pooling": "last"},
    {**BERT, "name": "linear attention, learned positions", "attention": "linear"},
    {**LATER, "name": "linear attention, shared keys, sines and cosines", "attention": "linear", "positions": "sinusoidal"},
    {**BERT, **SEQUENCE, "name": "bert classifies, tanh before it", "pooler": "tanh"},
    {**BERT, **SEQUENCE, "name": "distilbert classifies, relu before it", "pooler": "relu", "labels": 2},
    {**LATER, **SEQUENCE, "name": "the mean classified, nothing before it", "pooling": "mean", "labels": 3},
    {**BERT, **TOKENS, "name": "every token classified"},
    {**LATER, **TOKENS, "name": "where an answer begins and ends, local", "labels": 2, "bias": True, "mask": "local", "window": 2,
     "globals": 2},
    {**BERT, **SEQUENCE, **PATCHES, "name": "keyword transformer, post-norm, class token", "features": 10, "class_token": True, "labels": 12},
    {**BERT, **SEQUENCE, **PATCHES, "name": "vision transformer, pre-norm, class token", "features": 12, "class_token": True,
     "placement": "pre", "final_norm": True},
    {**LATER, **PATCHES, "name": "patches, no class token, rotary, mean", "features": 9, "normalized": True},
    {**BERT, **TOKENS, **PATCHES, "name": "every patch and the class token classified", "features": 7, "class_token": True,
     "positions": "sinusoidal"},
    {**BERT, **STEM, "name": "convolutions before an encoder, mean", "features": 10},
    {**LATER, **STEM, **TOKENS, "name": "convolutions, silu, rotary, every row classified", "features": 5, "bias": True},
    {**LATER, "name": "sandwich, query-key norm", "placement": "sandwich", "qk_norm": True, "embedding_norm": True},
    {**BERT, "name": "parallel, sines and cosines, scaled embedding", "placement": "pre", "parallel": True, "final_norm": True,
     "positions": "sinusoidal", "embedding_scale": 3.5, "pooling": "last"},
]  # fmt: skip


TWO = {"encoder_layers": 2, "encoder_context": 16, "context": 12}
SPEECH = {"front": "convolution", "features": 10}

SEQ2SEQ = [
    {**PLAIN, **SMALL, **PAPER, **TWO, "name": "vaswani, tied, embedding by the root of the width", "embedding_scale": 4.0},
    {**PLAIN, **SMALL, **PAPER, **TWO, "name": "vaswani, a head of its own, three layers to one", "tied": False, "embedding_scale": 4.0,
     "encoder_layers": 3, "layers": 1, "bias": False},
    {**PLAIN, **SMALL, **GPT, **TWO, "name": "pre-norm, learned positions", "positions": "learned"},
    {**PLAIN, **SMALL, **PAPER, **TWO, "name": "bart, norm behind the embedding, tied head with bias", "positions": "learned",
     "activation": "gelu_erf", "embedding_norm": True, "head_bias": True},
    {**PLAIN, **SMALL, **PAPER, **TWO, "name": "marian, silu, head with bias", "activation": "silu", "embedding_scale": 4.0,
     "head_bias": True, "tied": False},
    {**PLAIN, **SMALL, **TWO, "name": "t5, 32 buckets", "positions": "buckets", "buckets": 32, "score_scale": 1.0, "activation": "relu",
     "gated": False, "kv_heads": 4, "norm_eps": 1e-6},
    {**PLAIN, **SMALL, **TWO, "name": "t5 1.1, gated gelu, 8 buckets", "positions": "buckets", "buckets": 8, "score_scale": 0.25,
     "activation": "gelu_tanh", "kv_heads": 4, "tied": False, "layers": 3},
    {**PLAIN, **SMALL, **TWO, "name": "rotary in both stacks, shared keys"},
    {**PLAIN, **SMALL, **TWO, "name": "no positions, five heads to one", "positions": "none", "heads": 5, "kv_heads": 1, "tied": False},
    {**PLAIN, **SMALL, **GPT, **TWO, "name": "alibi in both stacks, three heads", "positions": "alibi", "heads": 3, "kv_heads": 3},
    {**PLAIN, **SMALL, **TWO, "name": "sandwich, the attention across with one norm", "placement": "sandwich", "activation": "gelu_tanh"},
    {**PLAIN, **SMALL, **GPT, **TWO, "name": "query-key norm of each stack's own attention, a part turns", "qk_norm": True,
     "rotary_dim": 4, "half_split": True},
    {**PLAIN, **SMALL, **GPT, **TWO, "name": "odd widths, heads of 5", "positions": "learned", "d_model": 15, "d_hidden": 41, "heads": 3,
     "kv_heads": 3, "head_dim": 5, "vocab": 53},
    {**PLAIN, **SMALL, **TWO, "name": "width 7, heads of 2, one layer each", "layers": 1, "encoder_layers": 1, "d_model": 7,
     "d_hidden": 13, "kv_heads": 1, "head_dim": 2},
    {**PLAIN, **SMALL, **GPT, **TWO, **SPEECH, "name": "whisper, convolutions before the encoder", "positions": "learned"},
    {**PLAIN, **SMALL, **GPT, **TWO, **SPEECH, "name": "convolutions of odd widths, sines and cosines, post-norm",
     "positions": "sinusoidal", "placement": "post", "final_norm": False, "features": 7, "d_model": 13, "heads": 2, "kv_heads": 2,
     "tied": False, "activation": "gelu_tanh"},
    {**PLAIN, **SMALL, **TWO, "name": "patches before the encoder, rotary", "front": "patches", "features": 11},
    {**PLAIN, **SMALL, **TWO, "name": "post-norm rms, squared relu", "placement": "post", "positions": "sinusoidal",
     "activation": "squared_relu", "gated": False},
    {**PLAIN, **SMALL, **TWO, "name": "gated relu, one layer to three, bias", "activation": "relu", "encoder_layers": 1, "layers": 3,
     "bias": True, "head_bias": True, "positions": "sinusoidal"},
    {**PLAIN, **SMALL, **GPT, **TWO, "name": "a score scale of its own, norm behind the embedding, pre-norm", "score_scale": 0.25,
     "embedding_norm": True, "positions": "learned", "heads": 5, "kv_heads": 5, "head_dim": 4, "d_model": 20},
]  # fmt: skip


# Rotary frequencies of published models, by the parameters of their config.json: dimensions, theta, scaling.
ROTARY = [
    {"name": "llama 2", "dim": 128, "theta": 10000.0, "scaling": None},
    {"name": "llama 3.1", "dim": 128, "theta": 500000.0,
     "scaling": {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "original": 8192}},
    {"name": "llama 3.2", "dim": 64, "theta": 500000.0,
     "scaling": {"kind": "llama3", "factor": 32.0, "low": 1.0, "high": 4.0, "original": 8192}},
    {"name": "linear by 4", "dim": 80, "theta": 10000.0, "scaling": {"kind": "linear", "factor": 4.0}},
    {"name": "ntk by 2", "dim": 128, "theta": 10000.0, "scaling": {"kind": "ntk", "factor": 2.0}},
    {"name": "qwen 2.5 with yarn", "dim": 128, "theta": 1000000.0, "scaling": {"kind": "yarn", "factor": 4.0, "original": 32768}},
    {"name": "llama 2 with yarn by 16", "dim": 128, "theta": 10000.0, "scaling": {"kind": "yarn", "factor": 16.0, "original": 4096}},
]  # fmt: skip
