#!/usr/bin/env python3
"""Golden values from outside the engine: transformers in float64, written from the papers, standard library only.

Run `python3 reference.py > golden.json` in this folder; the output is the same on every machine. README.md says what is in it, and each
file here names the papers that it follows.
"""

import json
import math
import sys

sys.dont_write_bytecode = True  # no compiled files beside the sources

import positions
from arithmetic import dot
from functions import checks, functions, sampling, tokenizer
from model import encoded, logits, stack
from shapes import DECODERS, ENCODERS, ROTARY, SEQ2SEQ
from weights import feature_rows, weights


def digits(x):
    """Nine significant digits name an f32; what is compared is compared to four."""
    return float(f"{x:.9g}")


def length(row):
    return digits(math.sqrt(dot(row, row)))


def rotary(shape):
    """What a checkpoint states beside the shape, for those that turn otherwise than by 10000."""
    scaled = shape.get("scaling") or shape.get("theta")
    if shape["positions"] != "rotary" or not (scaled or shape.get("half_split")):
        return {}
    radians, factor = positions.frequencies(positions.turning_dim(shape), shape.get("theta", 10000.0), shape.get("scaling"))
    rows = positions.neighbour_rows(shape["head_dim"], positions.turning_dim(shape)) if shape.get("half_split") else None
    # Queries and keys are both scaled by YaRN's factor, so that a score is by its square.
    scale = {"score_scale": factor**2 / math.sqrt(shape["head_dim"])} if factor != 1 else {}
    return {"radians": radians, **({"rows": rows} if rows else {}), **scale}


def decoders():
    for index, shape in enumerate(DECODERS):
        shape = {**shape, "seed": 2463534242 + index}
        count, every = (shape["context"], shape["kept"]) if shape.get("kept") else (12, 1)
        tokens = [(17 * t * t + 5 * t + index) % shape["vocab"] for t in range(count)]
        rows = logits(shape, weights(shape), tokens)
        # A sixth of the logits, other ones at each position, and the length of the whole row. A prefix has logits at its end only.
        kept = range(every - 1, count, every) if shape.get("mask") != "prefix" else range(shape["prefix"] - 1, count)
        some = [[digits(x) for x in rows[t][t % 6 :: 6]] for t in kept]
        yield {
            "shape": shape, **rotary(shape), "tokens": tokens, **({} if kept == range(12) else {"kept": list(kept)}),
            "some_logits": some, "lengths": [length(rows[t]) for t in kept],
        }  # fmt: skip


def source(shape, count, index):
    """What an encoder is given: tokens, or a seed of feature rows; how golden.json states it, then the thing itself."""
    if shape.get("front"):
        # Convolutions halve the number of frames, a class token takes a place.
        frames = 2 * count - index % 2 if shape["front"] == "convolution" else count
        stated = {"frames": frames, "feature_seed": 521288629 + 16 * index + count}
        return stated, feature_rows(shape, **{"frames": frames, "seed": stated["feature_seed"]})
    tokens = [(31 * t * t + 7 * t + index) % shape["vocab"] for t in range(count)]
    return {"tokens": tokens}, tokens


def encoders():
    for index, shape in enumerate(ENCODERS):
        shape = {**shape, "seed": 88675123 + index}
        model, texts = weights(shape), []
        for count in (1, shape["long"]) if shape.get("long") else (1, 2, 5, 9, 15 if shape.get("class_token") else 16):
            stated, given = source(shape, count, index)
            texts.append({**stated, "output": [digits(x) for x in encoded(shape, model, given)]})
        yield {"shape": shape, "texts": texts}


def seq2seq():
    """Every length of a source from 1 to 16 comes up, and all logits' lengths; a sixth of the logits themselves."""
    for index, shape in enumerate(SEQ2SEQ):
        shape = {**shape, "seed": 362436069 + index}
        model, pairs = weights(shape), []
        for count in sorted({1 + index % 16, 1 + (index + 5) % 16, 1 + (index + 11) % 16, 16}):
            stated, given = source(shape, count, index)
            rows = stack(shape, model, given, "encoder")
            target = [(17 * t * t + 5 * t + index + count) % shape["vocab"] for t in range(9)]
            answers = logits(shape, model, target, rows)
            pairs.append({
                **stated, "target": target, "last_row": [digits(x) for x in rows[-1]], "row_lengths": [length(row) for row in rows],
                "some_logits": [[digits(x) for x in row[t % 6 :: 6]] for t, row in enumerate(answers)],
                "lengths": [length(row) for row in answers],
            })  # fmt: skip
        yield {"shape": shape, **rotary(shape), "pairs": pairs}


def position_schemes():
    """Numbers that importers compute."""
    frequencies = []
    for published in ROTARY:
        radians, factor = positions.frequencies(published["dim"], published["theta"], published["scaling"])
        frequencies.append({**published, "radians": radians, "factor": factor})
    return {
        "sinusoids": [{"d_model": d, "rows": [[digits(x) for x in positions.sinusoid(t, d)] for t in (0, 1, 7, 511)]} for d in (6, 7, 32)],
        "rotary": frequencies,
        "slopes": {str(heads): positions.slopes(heads) for heads in (1, 2, 3, 6, 8, 12, 20)},
        "buckets": [
            {"buckets": count, "both_sides": both, "of_relative": [positions.bucket(r, count, both) for r in range(-160, 161)]}
            for count, both in ((32, True), (32, False), (12, True), (8, False))
        ],
    }


def main():
    golden = {
        "decoders": list(decoders()),
        "encoders": list(encoders()),
        "seq2seq": list(seq2seq()),
        "positions": position_schemes(),
        "functions": functions(),
        "sampling": list(sampling()),
        "tokenizer": tokenizer(),
        "checks": checks(),
    }
    json.dump(golden, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
