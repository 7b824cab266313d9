"""The perturbed recordings have the levels that the conditions name."""

import numpy as np
import pytest

from models.datasets.examples import Clips
from models.datasets.sound_augmentation import TRAINING, Conditions, mask, record


def tone_clips(count: int = 20, hertz: float = 1000.0, length: int = 8_000) -> Clips:
    pcm = np.zeros((count, 16_000), np.int16)
    pcm[:, :length] = (8_000 * np.sin(2 * np.pi * hertz * np.arange(length) / 16_000)).astype(np.int16)
    return Clips(pcm, np.full(count, length), np.zeros(count, np.int64), np.array(["test"] * count))


def strongest_hertz(sound: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(sound, axis=1)).argmax(axis=1)


def test_signal_to_noise_ratio_is_the_one_asked_for() -> None:
    sound = record(tone_clips(), np.random.default_rng(0), Conditions(shift=0, noise_db=(10, 10), gain_db=(0, 0)))
    noise = (sound[:, :3_900] ** 2).mean(axis=1)  # the clip fills the middle half
    both = (sound[:, 4_100:11_900] ** 2).mean(axis=1)
    # Brown noise wanders, so the power in a part of a second differs slightly from the power in the whole second.
    assert np.median(10 * np.log10((both - noise) / noise)) == pytest.approx(10, abs=2)


def test_peak_is_the_gain_under_half_of_full_scale() -> None:
    sound = record(tone_clips(), np.random.default_rng(0), Conditions(gain_db=(-6, -6)))
    np.testing.assert_allclose(np.abs(sound).max(axis=1), 0.5 * 10 ** (-6 / 20), rtol=1e-5)


def test_stretch_lowers_pitch_and_lengthens() -> None:
    conditions = Conditions(shift=0, noise_db=(60, 60), gain_db=(0, 0), stretch=(1.25, 1.25))
    sound = record(tone_clips(), np.random.default_rng(0), conditions)
    assert set(strongest_hertz(sound)) == {800}
    assert np.ptp(np.flatnonzero(np.abs(sound[0]) > 0.05)) == pytest.approx(10_000, abs=50)


def test_shift_keeps_the_clip_inside_the_second() -> None:
    clips = tone_clips(count=50, length=15_000)
    sound = record(clips, np.random.default_rng(0), Conditions(shift=0.5, noise_db=(60, 60), gain_db=(0, 0)))
    energy = (sound**2).sum(axis=1)
    np.testing.assert_allclose(energy, energy[0], rtol=0.01)


def test_training_conditions_differ_between_clips_and_repeat_with_the_seed() -> None:
    first, again = (record(tone_clips(), np.random.default_rng(7), TRAINING) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(set(strongest_hertz(first))) > 10
    assert first.shape == (20, 16_000)
    assert np.isfinite(first).all()


def test_mask_blanks_one_run_of_bands_and_one_of_frames() -> None:
    features = np.random.default_rng(0).normal(size=(30, 100, 40)).astype(np.float32)
    untouched = mask(features, np.random.default_rng(1)) == features
    bands, frames = ~untouched.any(axis=1), ~untouched.any(axis=2)  # (N, 40), (N, 100)
    np.testing.assert_array_equal(untouched, ~(bands[:, None, :] | frames[:, :, None]))
    for runs, longest in ((bands, 8), (frames, 15)):
        edges = np.abs(np.diff(runs.astype(int), axis=1, prepend=0, append=0)).sum(axis=1)
        assert set(edges) <= {0, 2}
        assert 0 < runs.sum(axis=1).max() < longest
