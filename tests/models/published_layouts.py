"""Tiny directories in the layout of the published data sets."""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as recording:
        recording.setnchannels(channels)
        recording.setsampwidth(samples.dtype.itemsize)
        recording.setframerate(rate)
        recording.writeframes(samples.tobytes())


def ramp(length: int) -> np.ndarray:
    return np.arange(length).astype("<i2")


def write_speech_commands(directory: Path, words: Sequence[str]) -> None:
    """Three speakers say each word once: aaaa for training, bbbb for validation, cccc for the test."""
    for word in words:
        for speaker, length in (("aaaa", 16_000), ("bbbb", 12_000), ("cccc", 17_000)):
            write_wav(directory / word / f"{speaker}_nohash_0.wav", ramp(length))
    for file, speaker in (("validation_list.txt", "bbbb"), ("testing_list.txt", "cccc")):
        (directory / file).write_text("".join(f"{word}/{speaker}_nohash_0.wav\n" for word in words))


def write_uci_har(directory: Path, train: Sequence[int], test: Sequence[int]) -> dict[str, np.ndarray]:
    """One window a subject, labelled 1, 2, ... 6, 1, ...; returns the features of each split."""
    features = {}
    for split, subjects in (("train", train), ("test", test)):
        folder = directory / split
        folder.mkdir(parents=True)
        features[split] = np.random.default_rng(0).uniform(-1, 1, (len(subjects), 561)).astype(np.float32)
        np.savetxt(folder / f"X_{split}.txt", features[split], fmt="%.9e")
        np.savetxt(folder / f"y_{split}.txt", np.arange(len(subjects)) % 6 + 1, fmt="%d")
        np.savetxt(folder / f"subject_{split}.txt", subjects, fmt="%d")
    return features
