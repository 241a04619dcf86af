#!/usr/bin/env python3
"""A GGUF file with a tensor of every element type that the host tool reads, and what its values are, both by ggml's own Python package.

    pip install gguf && python3 make.py

writes `blocks.gguf` and `blocks.f32` (all values, tensor after tensor, f32 little-endian) in this folder again, the same on every machine.
host-tools/tests/gguf.rs reads the first and compares with the second bit for bit. The blocks hold every integer pattern that xorshift32
comes to; their scales are small f16 numbers of either sign.
"""

import pathlib

import gguf
import numpy

Type = gguf.GGMLQuantizationType
# Values of a block, its bytes, and where in it its f16 scales lie.
TYPES = {
    Type.F32: (1, 4, []),
    Type.F16: (1, 2, [0]),
    Type.BF16: (1, 2, []),
    Type.Q4_0: (32, 18, [0]),
    Type.Q4_1: (32, 20, [0, 2]),
    Type.Q5_0: (32, 22, [0]),
    Type.Q5_1: (32, 24, [0, 2]),
    Type.Q8_0: (32, 34, [0]),
    Type.Q4_K: (256, 144, [0, 2]),
    Type.Q5_K: (256, 176, [0, 2]),
    Type.Q6_K: (256, 210, [208]),
}
ROWS, COLUMNS = 2, 256


def main():
    folder = pathlib.Path(__file__).parent
    writer = gguf.GGUFWriter(folder / "blocks.gguf", "nothing")
    metadata(writer)
    words, values = random_words(), []
    for kind, (block, size, scales) in TYPES.items():
        count = ROWS * COLUMNS // block
        data = numpy.array([next(words) & 0xFF for _ in range(count * size)], numpy.uint8).reshape(count, size)
        for at in scales:
            half = numpy.array([(next(words) / 2**31 - 1) / 64 for _ in range(count)], numpy.float16)
            data[:, at : at + 2] = half.view(numpy.uint8).reshape(count, 2)
        if kind in (Type.F32, Type.BF16):
            # Any exponent but those of infinities.
            data[:, -1] &= 0xBF
        data = data.reshape(ROWS, -1)
        values.append(gguf.quants.dequantize(typed(data, kind), kind).astype("<f4"))
        writer.add_tensor(f"tensor.{kind.name}", data, raw_shape=data.shape, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "blocks.f32").write_bytes(b"".join(value.tobytes() for value in values))


def typed(data, kind):
    """Bytes as the element type that `dequantize` wants."""
    floats = {Type.F32: numpy.float32, Type.F16: numpy.float16}
    return data.view(floats[kind]) if kind in floats else data


def metadata(writer):
    """A value of every type."""
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60000)
    writer.add_int16("i16", -30000)
    writer.add_uint32("u32", 4_000_000_000)
    writer.add_int32("i32", -2_000_000_000)
    writer.add_float32("f32", 0.5)
    writer.add_bool("bool", True)
    writer.add_string("text", "日本 text")
    writer.add_array("texts", ["a", "", "日"])
    writer.add_array("numbers", [1, -2, 3])
    writer.add_uint64("u64", 2**63)
    writer.add_int64("i64", -(2**62))
    writer.add_float64("f64", 1e300)


def random_words(state=1):
    """xorshift32 (Marsaglia 2003)."""
    while True:
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        yield state


if __name__ == "__main__":
    main()
