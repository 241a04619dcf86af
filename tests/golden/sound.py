"""Sound to rows of features: mel-frequency cepstra of KWT-1, log-mel spectra of Whisper.

Sources: Davis and Mermelstein 1980 (cepstra), O'Shaughnessy 1987 (mels with a logarithm), Slaney 1998 (mels straight below 1 kHz), Berg et al. 2021
and Radford et al. 2022 (parameters). The transform is the sum that defines it. Run `python3 sound.py > sound.json`.
"""

import json
import math
import sys

sys.dont_write_bytecode = True  # no compiled files beside the sources

from weights import Numbers

RATE = 16000


def sound(count, seed):
    """A triangle wave that climbs from 50 Hz to 7.4 kHz and swells, noise, and digital silence in between: 16-bit integers, from integers only, so
    that the other side draws the same."""
    numbers, samples, phase = Numbers(seed), [], 0
    for n in range(count):
        phase = (phase + 205 + 30000 * n // count) & 0xFFFF
        level = 512 * min(n, count - n) // count
        noise = int(numbers.next() * 32768)
        value = (((abs(phase - 32768) - 16384) * level) >> 8) + (noise >> 5)
        samples.append(0 if 45 * count <= 100 * n < 60 * count else value)
    return samples


def turns(length):
    return [(math.cos(math.tau * k / length), math.sin(math.tau * k / length)) for k in range(length)]


def spectrum(frame, length, table):
    """|X|^2 of bins 0 to half of length."""
    bins = []
    for k in range(length // 2 + 1):
        re = math.fsum(x * table[n * k % length][0] for n, x in enumerate(frame))
        im = math.fsum(x * table[n * k % length][1] for n, x in enumerate(frame))
        bins.append(re * re + im * im)
    return bins


def hann(length):
    return [0.5 - 0.5 * math.cos(math.tau * n / length) for n in range(length)]


def triangle(x, low, peak, high):
    return max(0.0, min((x - low) / (peak - low), (high - x) / (high - peak)))


def steps(low, high, count):
    return [low + (high - low) * i / (count - 1) for i in range(count)]


def mfcc(samples, rows):
    """Rows `rows` of 40 cepstra: frames of 480 samples every 160, a transform of 512, 80 bands from 20 to 7600 Hz."""
    def mel(hz):
        return 1127 * math.log(1 + hz / 700)

    edges = steps(mel(20), mel(7600), 82)
    at = [mel(k * RATE / 512) for k in range(257)]
    window, table, out = hann(480), turns(512), []
    for row in rows:
        frame = [x / 32768 * w for x, w in zip(samples[160 * row : 160 * row + 480], window)]
        size = [math.sqrt(power) for power in spectrum(frame, 512, table)]
        logs = []
        for low, peak, high in zip(edges, edges[1:], edges[2:]):
            band = math.fsum(size[k] * triangle(at[k], low, peak, high) for k in range(1, 257))
            logs.append(math.log(max(band, 1e-12)))
        cosine = [[math.cos(math.pi * k * (2 * n + 1) / 160) for n in range(80)] for k in range(40)]
        out.append([math.sqrt(2 / 80) * math.fsum(c * log for c, log in zip(line, logs)) for line in cosine])
    return out


def log_mel(samples, rows):
    """Rows `rows` of 80 bands of a clip of as many samples as there are: frames of 400 samples around every 160th. Every row is computed, since the
    loudest band of all sets the floor."""
    def mel(hz):
        return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)

    def hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    edges = [hertz(m) for m in steps(mel(0), mel(8000), 82)]
    window, table, logs = hann(400), turns(400), []
    padded = samples[200:0:-1] + samples + samples[-2:-202:-1]
    for row in range(len(samples) // 160):
        frame = [x / 32768 * w for x, w in zip(padded[160 * row : 160 * row + 400], window)]
        power = spectrum(frame, 400, table)
        bands = []
        for low, peak, high in zip(edges, edges[1:], edges[2:]):
            band = math.fsum(power[k] * triangle(40 * k, low, peak, high) for k in range(201)) * 2 / (high - low)
            bands.append(math.log10(max(band, 1e-10)))
        logs.append(bands)
    floor = max(map(max, logs)) - 8
    return [[(max(x, floor) + 4) / 4 for x in logs[row]] for row in rows]


def front_end(make, count, seed, rows):
    values = [[round(x, 7) for x in row] for row in make(sound(count, seed), rows)]
    return {"samples": count, "seed": seed, "rows": rows, "values": values}


if __name__ == "__main__":
    golden = {
        "mfcc": front_end(mfcc, 16000, 4, [*range(0, 98, 7), 97]),
        "log_mel": front_end(log_mel, 4800, 5, [0, 1, 2, 12, 13, 17, 27, 28, 29]),
    }
    print(json.dumps(golden, separators=(",", ":")))
