"""The Speech Commands loader on a directory of the published layout."""

from pathlib import Path

import numpy as np
import pytest
from published_layouts import ramp, write_speech_commands, write_wav

from emu.errors import InputError
from models.datasets import speech_commands

WORDS = ("yes", "no")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_speech_commands(tmp_path, (*WORDS, "bed"))
    return tmp_path


def test_follows_the_official_split(directory: Path) -> None:
    splits = speech_commands.load(directory, WORDS)
    assert {split: set(clips.source) for split, clips in splits.items()} == {
        "train": {"speaker:aaaa"},
        "validation": {"speaker:bbbb"},
        "test": {"speaker:cccc"},
    }


def test_labels_index_the_words_asked_for(directory: Path) -> None:
    (directory / "no" / "dddd_nohash_0.wav").write_bytes((directory / "no" / "aaaa_nohash_0.wav").read_bytes())
    assert speech_commands.load(directory, WORDS)["train"].y.tolist() == [0, 1, 1]
    assert speech_commands.load(directory, ("no", "yes"))["train"].y.tolist() == [0, 0, 1]


def test_clips_are_one_second_padded_or_cut(directory: Path) -> None:
    splits = speech_commands.load(directory, WORDS)
    assert [int(clips.length[0]) for clips in splits.values()] == [16_000, 12_000, 16_000]
    short, cut = splits["validation"].pcm[0], splits["test"].pcm[0]
    np.testing.assert_array_equal(short, np.r_[ramp(12_000), np.zeros(4_000)])
    np.testing.assert_array_equal(cut, ramp(16_000))


def test_missing_list_is_named(directory: Path) -> None:
    (directory / "testing_list.txt").unlink()
    with pytest.raises(InputError, match=r"testing_list.txt is missing"):
        speech_commands.load(directory, WORDS)


def test_missing_word_is_named(directory: Path) -> None:
    with pytest.raises(InputError, match="no folder 'up'"):
        speech_commands.load(directory, ("yes", "up"))


def test_split_without_clips_is_named(directory: Path) -> None:
    (directory / "validation_list.txt").write_text("")
    with pytest.raises(InputError, match="'validation'"):
        speech_commands.load(directory, WORDS)


@pytest.mark.parametrize(
    ("rate", "channels", "samples"),
    [
        (8_000, 1, ramp(8_000)),
        (16_000, 2, ramp(16_000)),
        (16_000, 1, np.full(16_000, 128, np.uint8)),
    ],
)
def test_other_wav_formats_are_refused(directory: Path, rate: int, channels: int, samples: np.ndarray) -> None:
    write_wav(directory / "yes" / "eeee_nohash_0.wav", samples, rate, channels)
    with pytest.raises(InputError, match=r"eeee_nohash_0.wav has .* expected 16000 Hz"):
        speech_commands.load(directory, WORDS)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"these are not sounds, these are words" * 4])
def test_what_is_no_wav_is_refused(directory: Path, content: bytes) -> None:
    (directory / "no" / "ffff_nohash_0.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"ffff_nohash_0.wav is not a wav file: \S"):
        speech_commands.load(directory, WORDS)


def test_wav_without_samples_is_refused(directory: Path) -> None:
    write_wav(directory / "no" / "gggg_nohash_0.wav", ramp(0))
    with pytest.raises(InputError, match=r"gggg_nohash_0.wav holds no sound"):
        speech_commands.load(directory, WORDS)
