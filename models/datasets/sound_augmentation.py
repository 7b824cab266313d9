"""Make clips sound as if other people said them, in other rooms, through other microphones."""

from dataclasses import dataclass

import numpy as np

from models.datasets.examples import SAMPLE_RATE, Clips, FloatArray

FREQUENCIES = np.fft.rfftfreq(SAMPLE_RATE, 1 / SAMPLE_RATE)
"""In hertz, of the spectrum of a whole second: one bin is one hertz."""


@dataclass(frozen=True)
class Conditions:
    """Ranges that the conditions of each clip are drawn from, uniformly."""

    shift: float = 0.1
    """Largest distance of a clip's middle from the second's middle, in seconds."""
    noise_db: tuple[float, float] = (0.0, 30.0)
    """Signal-to-noise ratio of coloured noise, from white to brown."""
    gain_db: tuple[float, float] = (-12.0, 0.0)
    """Peak level under half of full scale."""
    stretch: tuple[float, float] = (1.0, 1.0)
    """Resampling: lengthens the clip and lowers pitch and formants together, as a longer vocal tract does."""
    equaliser_db: float = 0.0
    """Standard deviation of a smooth random frequency response."""
    echo: float = 0.0
    """Share of clips that get a room's reverberation."""


NOISY = Conditions()
CLEAN = Conditions(noise_db=(30.0, 40.0), gain_db=(0.0, 0.0))
TRAINING = Conditions(
    shift=0.15, noise_db=(0.0, 35.0), gain_db=(-15.0, 0.0), stretch=(0.8, 1.25), equaliser_db=5.0, echo=0.3
)


def record(clips: Clips, rng: np.random.Generator, conditions: Conditions) -> FloatArray:
    """Return each clip as one second of sound (N, 16000) in [-1, 1] under conditions drawn from ``conditions``."""
    sound = np.stack([_placed(clips.pcm[i, : clips.length[i]], rng, conditions) for i in range(len(clips))])
    loudness = np.sqrt((sound**2).sum(1) / np.maximum(1, clips.length))
    if conditions.equaliser_db or conditions.echo:
        spectrum = np.fft.rfft(sound, axis=1) * _responses(len(clips), rng, conditions)
        sound = np.fft.irfft(spectrum, SAMPLE_RATE, axis=1)
    level = loudness * 10 ** (-rng.uniform(*conditions.noise_db, len(clips)) / 20)
    noisy = sound + _coloured_noise(len(clips), rng) * level[:, None].astype(np.float32)
    peak = 0.5 * 10 ** (rng.uniform(*conditions.gain_db, len(clips)) / 20)
    return (noisy * (peak / np.maximum(np.abs(noisy).max(1), 1e-6))[:, None]).astype(np.float32)


def _placed(pcm: np.ndarray, rng: np.random.Generator, conditions: Conditions) -> FloatArray:
    """Return one second with the clip, resampled, near its middle."""
    samples = pcm.astype(np.float32) / 32768
    stretch = rng.uniform(*conditions.stretch)
    if stretch != 1.0:
        length = int(len(samples) * stretch)
        samples = np.interp(np.arange(length) / stretch, np.arange(len(samples)), samples).astype(np.float32)
    samples = samples[:SAMPLE_RATE]
    room = SAMPLE_RATE - len(samples)
    start = int(np.clip(room // 2 + rng.uniform(-conditions.shift, conditions.shift) * SAMPLE_RATE, 0, room))
    second = np.zeros(SAMPLE_RATE, np.float32)
    second[start : start + len(samples)] = samples
    return second


def _responses(count: int, rng: np.random.Generator, conditions: Conditions) -> np.ndarray:
    """Return frequency responses (N, 8001): a microphone's colouring, in some with a room's echo."""
    # Knots evenly spaced in ln(300 + f): dense where speech has its formants.
    knots = np.linspace(np.log(300), np.log(300 + FREQUENCIES[-1]), 8)
    position = np.log(300 + FREQUENCIES)
    decibels = rng.normal(0, conditions.equaliser_db, (count, len(knots)))
    responses = np.stack([10 ** (np.interp(position, knots, row) / 20) for row in decibels]).astype(np.complex64)
    for echoing in np.flatnonzero(rng.uniform(size=count) < conditions.echo):
        length = int(rng.uniform(0.05, 0.3) * SAMPLE_RATE)  # until the echo is 60 dB down
        tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
        tail *= rng.uniform(0.1, 0.6) / np.sqrt((tail**2).sum())
        tail[0] = 1.0
        responses[echoing] *= np.fft.rfft(tail, SAMPLE_RATE)
    return responses


def _coloured_noise(count: int, rng: np.random.Generator) -> FloatArray:
    """Return noise (N, 16000) of deviation 1, whose power falls with a random exponent 0..2 of the frequency."""
    white = np.fft.rfft(rng.standard_normal((count, SAMPLE_RATE), dtype=np.float32), axis=1)
    exponents = rng.uniform(0, 2, (count, 1))
    shaped = white * np.maximum(FREQUENCIES, 1)[None].astype(np.float32) ** (-exponents / 2).astype(np.float32)
    noise = np.fft.irfft(shaped, SAMPLE_RATE, axis=1)
    return noise / noise.std(axis=1, keepdims=True)


def mask(features: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blank a random run of bands and a random run of frames in each of features (N, T, F), as SpecAugment does."""
    masked = features.copy()
    for example in masked:
        for axis, longest in ((1, 8), (0, 15)):
            width = rng.integers(0, longest)
            start = rng.integers(0, example.shape[axis] - width)
            target = example if axis == 0 else example.T
            target[start : start + width] = example.mean()
    return masked
