"""The log-mel front end of the keyword model: 1 s of sound at 16 kHz -> 100 frames of 40 bands.

A frame begins every 10 ms, from the first sample on, and has 25 ms under a periodic Hann window. Zeros at the end fill
the hundredth frame. A 512-point FFT gives the power in 40 triangular bands of height 1, evenly spaced on the HTK mel
scale from 60 to 7600 Hz. A feature is ln(power + 1e-6), with a full scale of 1.
"""

import numpy as np

from models.datasets.examples import SAMPLE_RATE, FloatArray

WINDOW = 400
HOP = 160
FFT_POINTS = 512
BANDS = 40
FRAMES = 100
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
FLOOR = 1e-6


def log_mel(sound: FloatArray) -> FloatArray:
    """Map sound (N, up to 16000) in [-1, 1] to features (N, 100, 40)."""
    padded = np.pad(sound, ((0, 0), (0, (FRAMES - 1) * HOP + WINDOW - sound.shape[1])))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP]  # (N, 100, 400)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, FFT_POINTS)) ** 2  # (N, 100, 257)
    return np.log(power @ mel_bands().T + np.float32(FLOOR))


def mel_bands() -> FloatArray:
    """Return the weight of each FFT bin in each band, (40, 257)."""
    edges = _hertz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2))
    bins = np.arange(FFT_POINTS // 2 + 1) * SAMPLE_RATE / FFT_POINTS
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    return np.maximum(weights, 0).astype(np.float32)


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _hertz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)
