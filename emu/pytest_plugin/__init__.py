"""The pytest plugin: tests run firmware in emulators, and hold its figures to limits and to a baseline.

pytest loads it into every session of an environment with emu. So this module and ``options`` import nothing heavy, and
a project that does not use the plugin loses hardly any time.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from emu.pytest_plugin import options

if TYPE_CHECKING:
    from emu.machines.shared import Shared
    from emu.pytest_plugin.runner import Builder, Runner
    from emu.targets import Target


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the ``--emu-*`` options and the ``emu_*`` settings."""
    options.register(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse invalid settings before anything runs."""
    options.register_markers(config)
    if options.are_given(config):
        from emu.pytest_plugin.session import check_settings

        check_settings(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses ``emu_target`` on every chosen target."""
    chosen_in_test = any("emu_target" in str(mark.args[:1]) for mark in metafunc.definition.iter_markers("parametrize"))
    if "emu_target" in metafunc.fixturenames and not chosen_in_test:
        from emu.pytest_plugin.session import chosen_targets

        metafunc.parametrize("emu_target", chosen_targets(metafunc.config), indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Read a test's markers before its fixtures are made, and refuse an invalid marker."""
    if options.uses_emu(item):
        from emu.pytest_plugin.expectations import expect

        expect(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge the runs of a test when the test is done."""
    if not options.uses_emu(item):
        return (yield)
    from emu.pytest_plugin.expectations import judge

    try:
        result = yield
    except BaseException:
        if complaints := judge(item, ended=False):
            item.add_report_section("call", "emu", complaints)
        raise
    if complaints := judge(item):
        pytest.fail(complaints, pytrace=False)
    return result


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the baseline if the user asked for it."""
    if session.config.getoption("emu_update_baseline"):
        from emu.pytest_plugin.session import update_baseline

        update_baseline(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over the runs of a worker of pytest-xdist."""
    from emu.pytest_plugin.session import take_over

    take_over(node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which memory errors the tests have not looked for, and whether the baseline was written."""
    properties = [
        each
        for name in ("passed", "failed")
        for test in terminalreporter.stats.get(name, ())
        for each in test.user_properties
    ]
    for name, told in sorted({each for each in properties if each[0].endswith(options.NOT_LOOKED_FOR)}):
        run = name.removesuffix(options.NOT_LOOKED_FOR)
        terminalreporter.write_line(f"emu: {run}: no_memory_errors has not looked for {told}")
    if config.getoption("emu_update_baseline"):
        from emu.pytest_plugin.session import summary

        terminalreporter.write_line(summary(config))


@pytest.fixture(scope="session")
def emu_target(request: pytest.FixtureRequest) -> Target:
    """Return the target that the test runs on: one of the targets that an option or a setting chose."""
    from emu.pytest_plugin.runner import provide_target

    return provide_target(request.param, request.config)


@pytest.fixture(scope="session")
def emu_build(emu_target: Target, request: pytest.FixtureRequest) -> Builder:
    """Return a function that builds the firmware of a demo, a checkpoint or an image: ``emu_build("kws") -> Path``."""
    from emu.pytest_plugin.runner import Builder

    return Builder(emu_target, request.config)


@pytest.fixture(scope="session")
def _emu_shared() -> Generator[Shared, None, None]:
    """Return what the machines of the session share, and end it after the last test."""
    from emu.machines.shared import Shared

    with Shared() as shared:
        yield shared


@pytest.fixture
def emu_run(
    emu_target: Target,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _emu_shared: Shared,
) -> Runner:
    """Return a function that runs a model or firmware on the target: ``emu_run("kws", limit=5) -> emu.record.Run``."""
    from emu.pytest_plugin.runner import Runner

    return Runner(emu_target, request.node, tmp_path_factory, _emu_shared)
