"""How a model learns where a token stands.

Sources: Vaswani et al. 2017, section 3.5 (sines and cosines), Su et al. 2021 (rotary positions), Black et al. 2022 (a part of a head turns),
Chen et al. 2023 (linear scaling), bloc97 2023 (NTK-aware scaling), Peng et al. 2023 (YaRN, with the ramp of their published code),
Grattafiori et al. 2024 and its published code (Llama 3.1's scaling), Press et al. 2022 (ALiBi), Raffel et al. 2020 (buckets of distances).
"""

import math

LARGEST_DISTANCE = 128


def sinusoid(position, d_model):
    """Columns 2i and 2i + 1 are the sine and the cosine of position / 10000^(2i / d_model)."""
    angles = [position / 10000.0 ** (2 * (column // 2) / d_model) for column in range(d_model)]
    return [math.cos(angle) if column % 2 else math.sin(angle) for column, angle in enumerate(angles)]


# --- Rotary ---------------------------------------------------------------------------------------------------------------------------


def turning_dim(shape):
    return shape.get("rotary_dim") or shape["head_dim"]


def frequencies(dim, theta=10000.0, scaling=None):
    """Radians that one token adds to each of the dim / 2 pairs, and the factor that scales the turned pairs (YaRN's temperature)."""
    plain = [theta ** (-2 * i / dim) for i in range(dim // 2)]
    if scaling is None:
        return plain, 1.0
    factor = scaling["factor"]
    match scaling["kind"]:
        case "linear":
            return [f / factor for f in plain], 1.0
        case "ntk":
            return frequencies(dim, theta * factor ** (dim / (dim - 2)))
        case "yarn":
            return yarn(plain, dim, theta, factor, scaling), 0.1 * math.log(factor) + 1
        case "llama3":
            return [llama3(f, factor, scaling) for f in plain], 1.0
    raise ValueError(scaling["kind"])


def yarn(plain, dim, theta, factor, scaling):
    """Pairs that turn more than beta_fast times in the original context stay, those that turn less than beta_slow times are interpolated; a
    ramp along the index of the pair lies between. (The paper's equation lets the ramp follow the number of turns instead; its code, and all
    that came after it, do this.)"""

    def pair_with_turns(turns):
        return dim * math.log(scaling["original"] / (turns * math.tau)) / (2 * math.log(theta))

    low = max(math.floor(pair_with_turns(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(pair_with_turns(scaling.get("beta_slow", 1))), dim - 1)
    high = high + 0.001 if high == low else high
    ramps = [min(max((i - low) / (high - low), 0.0), 1.0) for i in range(dim // 2)]
    return [f / factor * ramp + f * (1 - ramp) for f, ramp in zip(plain, ramps, strict=True)]


def llama3(frequency, factor, scaling):
    """Short waves stay, long ones are divided by the factor, between them the two are mixed."""
    turns, low, high = scaling["original"] * frequency / math.tau, scaling["low"], scaling["high"]
    if turns > high:
        return frequency
    if turns < low:
        return frequency / factor
    smooth = (turns - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency


def rotate(shape, head, position):
    """The first rotary_dim dimensions of a head turn in pairs: neighbours (Su et al.), or the first half with the second (half_split)."""
    dim = turning_dim(shape)
    radians, factor = frequencies(dim, shape.get("theta", 10000.0), shape.get("scaling"))
    turned = list(head)
    for i, frequency in enumerate(radians):
        left, right = (i, i + dim // 2) if shape.get("half_split") else (2 * i, 2 * i + 1)
        cos, sin = math.cos(position * frequency) * factor, math.sin(position * frequency) * factor
        turned[left] = head[left] * cos - head[right] * sin
        turned[right] = head[left] * sin + head[right] * cos
    return turned


def neighbour_rows(head_dim, dim):
    """Which row of a half-split head's projection each row of a neighbour-pair head's is."""
    return [row // 2 + (row % 2) * dim // 2 if row < dim else row for row in range(head_dim)]


# --- Addends of scores ----------------------------------------------------------------------------------------------------------------


def slopes(heads):
    """2^(-8 i / n) for n heads, a power of two; other counts take every second slope of twice the lower power to fill up."""
    power = 1 << (heads.bit_length() - 1)
    first = [2.0 ** (-8 * (i + 1) / power) for i in range(power)]
    more = [2.0 ** (-8 * (i + 1) / (2 * power)) for i in range(0, 2 * power, 2)]
    return first + more[: heads - power]


def bucket(relative, buckets, both_sides):
    """T5's bucket of the key's position minus the query's: half of a side's buckets hold one distance each, the others ranges that grow by a
    constant factor until 128. Whole numbers only, so that no rounding decides: step / ranges <= log(distance / exact) / log(128 / exact)."""
    side = buckets // 2 if both_sides else buckets
    offset = side if both_sides and relative > 0 else 0
    distance = abs(relative) if both_sides else max(-relative, 0)
    exact = side // 2
    if distance < exact:
        return offset + distance
    ranges, step = side - exact, 0
    while step + 1 < ranges and LARGEST_DISTANCE ** (step + 1) * exact**ranges <= distance**ranges * exact ** (step + 1):
        step += 1
    return offset + exact + step
