"""Google Speech Commands (v0.01 or v0.02) from a directory on disk: thousands of people saying single words, CC BY 4.0.

Download it from http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz and point to the unpacked directory:
one folder a word, and the official split in ``validation_list.txt`` and ``testing_list.txt``.
"""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emu.errors import InputError
from models.datasets.examples import SAMPLE_RATE, Clips

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def load(directory: Path, words: Sequence[str] = WORDS) -> dict[str, Clips]:
    """Return the official ``train``, ``validation`` and ``test`` splits of ``words``; labels index ``words``.

    Raises InputError for a missing list or word, a split without clips, or a file that is not 16 kHz mono 16-bit wav.
    """
    split_of = {name: split for split, file in LISTS.items() for name in _listed(directory / file)}
    files: dict[str, list[tuple[Path, int]]] = {"train": [], "validation": [], "test": []}
    for label, word in enumerate(words):
        if not (directory / word).is_dir():
            raise InputError(f"{directory} has no folder '{word}': give the unpacked Speech Commands directory")
        for path in sorted((directory / word).glob("*.wav")):
            files[split_of.get(f"{word}/{path.name}", "train")].append((path, label))
    for split, members in files.items():
        if not members:
            raise InputError(f"{directory} holds no clip of the split '{split}'")
    return {split: _read(members) for split, members in files.items()}


def _listed(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path} is missing: give the unpacked Speech Commands directory")
    return path.read_text().split()


def _read(files: list[tuple[Path, int]]) -> Clips:
    pcm = np.zeros((len(files), SAMPLE_RATE), np.int16)
    length = np.zeros(len(files), np.int64)
    for index, (path, _) in enumerate(files):
        samples = _read_wav(path)[:SAMPLE_RATE]
        pcm[index, : len(samples)] = samples
        length[index] = len(samples)
    # A file's name starts with its speaker: 0a7c2a8d_nohash_0.wav.
    speakers = np.array([f"speaker:{path.name.split('_')[0]}" for path, _ in files])
    return Clips(pcm, length, np.array([label for _, label in files]), speakers)


def _read_wav(path: Path) -> np.ndarray:
    try:
        with wave.open(str(path)) as recording:
            form = (recording.getframerate(), recording.getnchannels(), 8 * recording.getsampwidth())
            content = recording.readframes(recording.getnframes())
    except (wave.Error, EOFError) as error:
        raise InputError(f"{path} is not a wav file: {str(error) or 'it ends too early'}") from error
    if form != (SAMPLE_RATE, 1, 16):
        raise InputError(f"{path} has {form[0]} Hz, {form[1]} channel(s), {form[2]} bits; expected 16000 Hz, 1, 16")
    if not content:
        raise InputError(f"{path} holds no sound")
    return np.frombuffer(content, "<i2")
