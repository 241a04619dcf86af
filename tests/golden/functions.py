"""What needs no model: functions from the C library, draws of tokens, a small vocabulary, checksums.

Sources: Steele, Lea, Flood 2014 (SplitMix64), Holtzman et al. 2020 (top-p), Sennrich et al. 2016 (byte-pair encoding).
"""

import math
import struct
import zlib

from arithmetic import MASK32, MASK64, elu_plus_one, f32, gelu_erf, gelu_tanh, sigmoid, silu, softmax, squared_relu
from weights import Numbers


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
        "tanh": [[x, math.tanh(x)] for x in grid],
        "elu_plus_one": [[x, elu_plus_one(x)] for x in grid],
        "squared_relu": [[x, squared_relu(x)] for x in grid],
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
