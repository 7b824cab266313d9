"""The synthetic speech data: the speakers of each split, and the shape of a synthesised word."""

import shutil
from collections import defaultdict

import numpy as np
import pytest

from emu.errors import MissingToolError
from models.datasets import synthetic_speech
from models.datasets.synthetic_speech import ACCENTS, WORDS, Utterance

VARIANTS = sorted(
    [f"f{n}" for n in range(1, 6)] + [f"m{n}" for n in range(1, 9)] + [f"robosoft{n}" for n in ("", *range(2, 9))]
    + ["UniRobot", "steph", "steph2", "steph3", "whisper", "whisperf", "Andy", "AnxiousAndy", "anika", "anikaRobot"]
    + ["Gene", "Gene2", "adam", "linda", "paul", "zac"]
)  # fmt: skip

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def test_variants_of_one_timbre_are_one_family() -> None:
    families = defaultdict(set)
    for variant in VARIANTS:
        families[synthetic_speech.family(variant)].add(variant)
    assert families["robosoft"] == {"robosoft", "UniRobot", *(f"robosoft{n}" for n in range(2, 9))}
    assert families["steph"] == {"steph", "steph2", "steph3"}
    assert families["andy"] == {"Andy", "AnxiousAndy"}
    assert families["f1"] == {"f1"}
    assert families["m8"] == {"m8"}


def test_no_family_is_in_two_splits() -> None:
    splits_of_family = defaultdict(set)
    for utterance in synthetic_speech.plan(VARIANTS):
        splits_of_family[synthetic_speech.family(utterance.source.partition(":")[2])].add(utterance.split)
    assert {len(splits) for splits in splits_of_family.values()} == {1}
    assert set.union(*splits_of_family.values()) == {"train", "validation", "test", "flite"}


def test_every_voice_says_every_word_in_every_accent() -> None:
    said = defaultdict(set)
    for utterance in synthetic_speech.plan(VARIANTS):
        if utterance.split != "flite":
            said[utterance.source].add((utterance.voice.partition("+")[0], utterance.word))
    assert set(said) == {f"espeak:{variant}" for variant in VARIANTS}
    assert all(pairs == {(accent, word) for accent in ACCENTS for word in WORDS} for pairs in said.values())


def test_plan_is_the_same_every_time() -> None:
    assert list(synthetic_speech.plan(VARIANTS)) == list(synthetic_speech.plan(VARIANTS))


def test_missing_synthesiser_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="apt-get install espeak-ng flite"):
        synthetic_speech.load(tmp_path)


@needs_espeak
@pytest.mark.parametrize("word", WORDS)
def test_synthesised_word_is_a_second_of_speech_at_most(word: str) -> None:
    speech = synthetic_speech.synthesise(Utterance("test", word, "en-gb+f2", "espeak:f2", "", 170, 50))
    assert 0.1 * 16_000 < len(speech) <= 16_000
    assert np.abs(speech[:8_000]).max() > 10_000
    assert np.abs(speech[-400:]).max() < 0.02 * np.abs(speech).max()  # the word is whole: silence follows


@needs_espeak
def test_slower_speech_is_longer() -> None:
    quick, slow = (
        synthetic_speech.synthesise(Utterance("test", "stop", "en-us+m3", "espeak:m3", "", speed, 50))
        for speed in (220, 120)
    )
    assert len(slow) > 1.2 * len(quick)
