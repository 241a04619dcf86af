"""Timestamps of Whisper tiny.en, by faster-whisper: what timestamps.json holds.

    pip install faster-whisper==1.2.1
    python3 timestamps.py MODEL CLIPS > timestamps.json

MODEL is the CTranslate2 folder of tiny.en that make.py in shared/models/whisper-tiny-en takes its weights from, CLIPS is shared/data/speech. Each clip
is filled up with silence to 30 s, as the engine hears it; faster-whisper by itself fills up the features with zeros, which are not silence.
"""

import json
import pathlib
import sys
import wave

import numpy
from faster_whisper import WhisperModel

WINDOW = 480_000


def samples(path):
    with wave.open(str(path)) as clip:
        sound = numpy.frombuffer(clip.readframes(clip.getnframes()), dtype="<i2").astype(numpy.float32) / 32768
    return numpy.pad(sound, (0, WINDOW - len(sound)))


model = WhisperModel(sys.argv[1], device="cpu", compute_type="float32", cpu_threads=1)
lines = []
for path in sorted(pathlib.Path(sys.argv[2]).glob("*.wav")):
    parts, _ = model.transcribe(
        samples(path), language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False, without_timestamps=False
    )
    times = [[round(part.start, 2), round(part.end, 2)] for part in parts]
    lines.append(f"  {json.dumps(path.name)}: {json.dumps(times)}")
print("{\n" + ",\n".join(lines) + "\n}")
