"""Ten spoken words from two speech synthesisers: espeak-ng (many voices, for training and test) and flite (test only).

The split is by voice *family*: variants of one timbre (``robosoft``, ``robosoft2``, ...) stay together, so a test voice
was never heard in training, at any speed, pitch or accent. flite is another synthesiser altogether: out of domain.
"""

import hashlib
import multiprocessing
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from math import gcd
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from emu.errors import MissingToolError
from models.datasets.examples import CACHE, SAMPLE_RATE, Clips, FloatArray

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
ACCENTS = (
    "en-gb", "en-us", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-us-nyc",
)  # fmt: skip
FLITE_VOICES = ("kal16", "awb", "rms", "slt")
FLITE_STRETCHES = (0.8, 0.9, 1.0, 1.15, 1.3)
ENDINGS = ("", "?", "!", ",")
"""Punctuation selects espeak's intonation contours."""

REPEATS = {"train": 3, "validation": 1, "test": 1}
"""How often each voice says each word in each accent; each time at another speed, pitch and intonation."""

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Utterance:
    """One word to synthesise."""

    split: str
    word: str
    voice: str
    """An espeak voice and variant (``en-us+f2``), or a flite voice."""
    source: str
    ending: str
    speed: float
    """espeak: words a minute. flite: stretch of all durations."""
    pitch: int
    """espeak: 0..99. flite has no such setting."""

    def command(self, path: Path) -> list[str]:
        """Return the command that writes this utterance to ``path`` as a wav file."""
        text = self.word + self.ending
        if self.split == "flite":
            return [
                "flite", "-voice", self.voice, "--setf", f"duration_stretch={self.speed}", "-t", text, "-o", str(path),
            ]  # fmt: skip
        return ["espeak-ng", "-v", self.voice, "-s", f"{self.speed:.0f}", "-p", str(self.pitch), "-w", str(path), text]


def load(cache: Path = CACHE) -> dict[str, Clips]:
    """Return the splits ``train``, ``validation``, ``test`` (espeak) and ``flite``, synthesised once and then cached.

    Raises MissingToolError if a synthesiser is not installed.
    """
    for tool in ("espeak-ng", "flite"):
        if shutil.which(tool) is None:
            raise MissingToolError(f"{tool} is not installed: apt-get install espeak-ng flite")
    utterances = list(plan(espeak_variants()))
    digest = hashlib.sha256(repr([astuple(utterance) for utterance in utterances]).encode()).hexdigest()[:16]
    path = cache / f"synthetic-speech-{digest}.npz"
    if not path.exists():
        with multiprocessing.Pool(2) as pool:
            clips = pool.map(synthesise, utterances, chunksize=50)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, samples=np.concatenate(clips), length=[len(clip) for clip in clips])
        partial.rename(path)
    with np.load(path) as stored:
        return _split(utterances, stored["samples"], stored["length"])


def _split(utterances: list[Utterance], samples: Pcm, length: npt.NDArray[np.int64]) -> dict[str, Clips]:
    pcm = np.zeros((len(length), SAMPLE_RATE), np.int16)
    pcm[np.arange(SAMPLE_RATE) < length[:, None]] = samples
    clips = Clips(
        pcm,
        length,
        np.array([WORDS.index(utterance.word) for utterance in utterances]),
        np.array([utterance.source for utterance in utterances]),
    )
    split = np.array([utterance.split for utterance in utterances])
    return {name: clips[split == name] for name in (*REPEATS, "flite")}


def plan(variants: list[str], seed: int = 1) -> Iterator[Utterance]:
    """Yield every utterance of every split, in a fixed order."""
    rng = np.random.default_rng(seed)
    splits = split_by_family(variants)
    for variant in variants:
        split = splits[variant]
        for accent in ACCENTS:
            for _ in range(REPEATS[split]):
                for word in WORDS:
                    ending = ENDINGS[rng.integers(len(ENDINGS))]
                    speed, pitch = int(rng.integers(110, 231)), int(rng.integers(15, 86))
                    yield Utterance(split, word, f"{accent}+{variant}", f"espeak:{variant}", ending, speed, pitch)
    for voice in FLITE_VOICES:
        for stretch in FLITE_STRETCHES:
            for word in WORDS:
                yield Utterance("flite", word, voice, f"flite:{voice}", "", stretch, 0)


def espeak_variants() -> list[str]:
    """Return espeak's voice variants, without ``fast`` (a speed, not a voice) and names with spaces."""
    listing = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"!v/(\S+)\s*(?:\(.*)?$", listing, re.MULTILINE)
    return sorted(set(names) - {"fast", "fast_test"})


def family(variant: str) -> str:
    """Return the timbre that a variant belongs to: ``robosoft7`` -> ``robosoft``; f1..f5 and m1..m8 have their own."""
    if re.fullmatch(r"[fm]\d", variant):
        return variant
    stem = variant.rstrip("0123456789").lower()
    same_timbre = {"anxiousandy": "andy", "anikarobot": "anika", "unirobot": "robosoft", "whisperf": "whisper"}
    return same_timbre.get(stem, stem)


def split_by_family(variants: list[str]) -> dict[str, str]:
    """Assign every variant to a split: in each ten families, by alphabet, two are for test, one for validation."""
    families = sorted({family(variant) for variant in variants})
    of_ten = {name: position % 10 for position, name in enumerate(families)}
    names = {3: "test", 5: "validation", 8: "test"}
    return {variant: names.get(of_ten[family(variant)], "train") for variant in variants}


def synthesise(utterance: Utterance) -> Pcm:
    """Return the utterance at 16 kHz without the silence around it, at most one second."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "speech.wav")
        subprocess.run(utterance.command(path), check=True, capture_output=True)
        with wave.open(str(path)) as recording:
            rate = recording.getframerate()
            samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2").astype(np.float32) / 32768
    common = gcd(SAMPLE_RATE, rate)
    speech = _trim(np.asarray(resample_poly(samples, SAMPLE_RATE // common, rate // common), np.float32))
    return np.clip(np.rint(speech[:SAMPLE_RATE] * 32767), -32768, 32767).astype(np.int16)


def _trim(samples: FloatArray, threshold: float = 0.01, margin: int = SAMPLE_RATE // 20) -> FloatArray:
    """Cut sound quieter than ``threshold`` of the peak at both ends, except a margin (soft onsets count)."""
    loud = np.flatnonzero(np.abs(samples) > threshold * np.abs(samples).max())
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]
