"""The log-mel front end against its definition and against sounds whose spectrum is known."""

import numpy as np
import pytest
from scipy.signal.windows import hann

from models.datasets.features import log_mel, mel_bands


def tone(hertz: float, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)).astype(np.float32)[None]


def htk_mel(hertz: float) -> float:
    return 1127.0 * np.log1p(hertz / 700.0)


@pytest.mark.parametrize("hertz", [250.0, 1000.0, 3150.0, 6300.0])
def test_tone_peaks_in_the_band_that_the_mel_scale_gives(hertz: float) -> None:
    spacing = (htk_mel(7600) - htk_mel(60)) / 41
    expected = (htk_mel(hertz) - htk_mel(60)) / spacing - 1  # band i is centred i + 1 spacings above 60 Hz
    peaks = log_mel(tone(hertz))[0, 5:95].argmax(axis=1)
    assert abs(peaks - expected).max() <= 1


def test_agrees_with_a_transform_written_out_in_float64() -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 16_000)
    frames = np.stack([sound[160 * frame : 160 * frame + 400] for frame in range(98)])  # the last two need padding
    transform = np.exp(-2j * np.pi * np.outer(np.arange(400), np.arange(257)) / 512)
    power = np.abs(frames * hann(400, sym=False) @ transform) ** 2
    expected = np.log(power @ mel_bands().T.astype(np.float64) + 1e-6)
    np.testing.assert_allclose(log_mel(sound[None].astype(np.float32))[0, :98], expected, atol=1e-4)


def test_silence_is_the_floor_and_short_sound_is_padded_with_it() -> None:
    features = log_mel(np.zeros((2, 8_000), np.float32))
    assert features.shape == (2, 100, 40)
    np.testing.assert_allclose(features, np.log(1e-6), rtol=1e-6)


def test_twice_the_amplitude_is_four_times_the_power() -> None:
    quiet, loud = log_mel(tone(1000, 0.25)), log_mel(tone(1000, 0.5))
    band = quiet[0, 50].argmax()
    assert loud[0, 50, band] - quiet[0, 50, band] == pytest.approx(np.log(4), abs=1e-4)


def test_neighbouring_bands_share_the_power_between_their_centres() -> None:
    bins = np.arange(257) * 16_000 / 512
    centres = 700 * np.expm1(np.linspace(htk_mel(60), htk_mel(7600), 42)[1:-1] / 1127.0)
    between = (bins > centres[0]) & (bins < centres[-1])
    np.testing.assert_allclose(mel_bands()[:, between].sum(axis=0), 1, atol=1e-5)
    assert not mel_bands()[:, (bins < 60) | (bins > 7600)].any()
