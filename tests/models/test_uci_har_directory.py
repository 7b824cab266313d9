"""The UCI HAR loader on a directory of the published layout."""

from pathlib import Path

import numpy as np
import pytest
from published_layouts import write_uci_har

from emu.errors import InputError
from models.datasets import uci_har

TRAIN_SUBJECTS = [1, 3, 5, 6, 7, 11]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_uci_har(tmp_path, TRAIN_SUBJECTS, test=[2, 4])
    return tmp_path


def test_features_fill_ten_steps_and_nine_zeros(tmp_path: Path) -> None:
    features = write_uci_har(tmp_path, TRAIN_SUBJECTS, test=[2, 4])["test"]
    x = uci_har.load(tmp_path)["test"].x
    assert x.shape == (2, 10, 57)
    np.testing.assert_array_equal(x.reshape(2, 570)[:, :561], features)
    np.testing.assert_array_equal(x.reshape(2, 570)[:, 561:], 0)


def test_labels_start_at_zero(directory: Path) -> None:
    assert uci_har.load(directory)["test"].y.tolist() == [0, 1]


def test_validation_takes_the_last_training_subjects_by_number(directory: Path) -> None:
    splits = uci_har.load(directory)
    assert splits["train"].source.tolist() == ["subject:01", "subject:03"]
    assert splits["validation"].source.tolist() == ["subject:05", "subject:06", "subject:07", "subject:11"]
    assert splits["test"].source.tolist() == ["subject:02", "subject:04"]


@pytest.mark.parametrize("file", ["train/X_train.txt", "train/y_train.txt", "test/subject_test.txt"])
def test_missing_file_is_named(directory: Path, file: str) -> None:
    (directory / file).unlink()
    with pytest.raises(InputError, match=f"{file} is missing"):
        uci_har.load(directory)


def test_wrong_column_count_is_named(directory: Path) -> None:
    np.savetxt(directory / "test" / "X_test.txt", np.zeros((2, 560)))
    with pytest.raises(InputError, match=r"X_test.txt has 560 columns in 2 rows; expected 561"):
        uci_har.load(directory)


@pytest.mark.parametrize("content", ["one two three\n", "1 2 3\n4 5\n"])
def test_what_is_no_table_is_refused(directory: Path, content: str) -> None:
    (directory / "train" / "X_train.txt").write_text(content)
    with pytest.raises(InputError, match=r"X_train.txt is not a table of numbers"):
        uci_har.load(directory)


@pytest.mark.filterwarnings("ignore:loadtxt")
def test_empty_file_is_refused(directory: Path) -> None:
    (directory / "train" / "X_train.txt").write_text("")
    with pytest.raises(InputError, match=r"X_train.txt has .* 0 rows"):
        uci_har.load(directory)


def test_rows_and_labels_must_be_equally_many(directory: Path) -> None:
    (directory / "test" / "y_test.txt").write_text("1\n2\n3\n")
    with pytest.raises(InputError, match="2 rows of features, 3 labels and 2 subjects"):
        uci_har.load(directory)


def test_unknown_labels_are_refused(directory: Path) -> None:
    (directory / "test" / "y_test.txt").write_text("1\n7\n")
    with pytest.raises(InputError, match=r"y_test.txt: labels must be 1..6"):
        uci_har.load(directory)


def test_too_few_subjects_are_refused(directory: Path) -> None:
    (directory / "train" / "subject_train.txt").write_text("1\n" * len(TRAIN_SUBJECTS))
    with pytest.raises(InputError, match="more than 4 subjects, found 1"):
        uci_har.load(directory)
