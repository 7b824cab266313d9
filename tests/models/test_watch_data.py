"""The smartwatch data: its allowed sources, and the effect of its augmentation on a movement."""

from pathlib import Path

import numpy as np
import pytest

from emu.errors import InputError, MissingToolError
from models.datasets import watch
from models.har.train import perturb_watch


def test_another_wheel_is_refused_before_its_pickle_is_read(tmp_path: Path) -> None:
    (tmp_path / watch.WHEEL).write_bytes(b"not the published wheel")
    with pytest.raises(InputError, match=r"not the published seglearn 1.2.5 wheel"):
        watch.load(tmp_path)


def test_wheel_that_cannot_be_downloaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(MissingToolError, match=r"put seglearn-1\.2\.5-py3-none-any\.whl into .*pip download"):
        watch.load(tmp_path)


def test_nobody_is_in_two_splits() -> None:
    subjects = [subject for members in watch.SPLITS.values() for subject in members]
    assert sorted(subjects) == list(range(1, 11))


def test_perturbed_windows_keep_the_movement() -> None:
    """A steady sway of 1 Hz stays a steady sway, 0.8 to 1.25 times as fast."""
    moments = np.arange(watch.STEPS + watch.MARGIN) / 50
    sway = np.sin(2 * np.pi * moments)[:, None] * np.array([3.0, 0, 0, 0, 2.0, 0])
    windows = perturb_watch(np.repeat(sway[None], 200, axis=0).astype(np.float32), np.random.default_rng(0))
    assert windows.shape == (200, 128, 6)
    spectrum = np.abs(np.fft.rfft(windows * np.hanning(128)[:, None], 2_048, axis=1))
    hertz = np.fft.rfftfreq(2_048, 1 / 50)[spectrum[:, 8:, 0].argmax(axis=1) + 8]
    assert hertz.min() > 0.75
    assert hertz.max() < 1.3
    assert np.ptp(hertz) > 0.3
    power = (windows[..., :3] ** 2).sum(axis=2).mean(axis=1)
    assert np.median(power) == pytest.approx(9 / 2, rel=0.1)
