"""JUnit XML against the schema that CI servers check, and as another library reads it."""

from pathlib import Path

import junitparser
import pytest
import xmlschema

from emu.record import Run, read_run_file
from emu.reports.junit import render_junit

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "junit.xsd")


def test_it_fits_the_schema(runs: list[Run]):
    SCHEMA.validate(render_junit(runs))


def test_a_missing_attribute_does_not_fit():
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        SCHEMA.validate('<testsuites><testsuite name="a" tests="0" failures="0"/></testsuites>')


def test_verdicts_are_cases_and_figures_are_properties(written: Path):
    runs = read_run_file(written / "run.json").runs
    suites = [*junitparser.JUnitXml.fromfile(str(written / "junit.xml"))]
    assert [suite.name for suite in suites] == [f"{run.model} on {run.target}" for run in runs]
    for suite, run in zip(suites, runs, strict=True):
        assert [(case.name, case.is_passed) for case in suite] == [(v.name, v.ok) for v in run.verdicts]
        assert (suite.tests, suite.failures, suite.errors) == (len(run.verdicts), 0, 0)
        figures = {entry.name: entry.value for entry in suite.properties()}
        assert run.parity is not None
        assert int(figures["flash_bytes"]) == run.memory.flash_bytes
        assert int(figures["per_inference"]) == run.instructions.per_inference
        assert float(figures["mean_abs_error"]) == pytest.approx(run.parity.mean_abs_error)
        assert figures["firmware.sha256"] == run.firmware.sha256


def test_a_failure_says_by_how_much_and_where(faulty: Run, regressed: list[Run]):
    suites = [*junitparser.JUnitXml.fromstring(render_junit([faulty, regressed[1]]).encode())]
    cases = {case.name: case for suite in suites for case in suite if not case.is_passed}
    assert cases.keys() == {"no fault", "no memory error", "stack fits", "labels agree with PyTorch"}
    (fault,) = cases["no fault"].result
    assert "unmapped write" in str(fault.text)
    assert "in store_far_away" in str(fault.text)
    (stack,) = cases["stack fits"].result
    peak = regressed[1].memory.stack_peak_bytes
    assert peak is not None
    assert stack.message == f"{peak:,} B, limit: 4,096 B ({peak - 4096:,} B too many)"
    assert "scan_and_gate" in str(stack.text)
    (labels,) = cases["labels agree with PyTorch"].result
    assert "the firmware no class" in str(labels.text)


def test_what_was_not_measured_is_no_figure(unmeasured: Run):
    (suite,) = junitparser.JUnitXml.fromstring(render_junit([unmeasured]).encode())
    names = {entry.name: entry.value for entry in suite.properties()}
    assert "stack_peak_bytes" not in names
    assert names["not_measured.stack_peak_bytes"] == "the machine ran bare"
