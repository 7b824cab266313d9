"""Instruments, measured on request: each option is declared once, and refused by name if the target lacks it."""

from dataclasses import fields
from pathlib import Path

import pytest

from emu.emulators import EMULATORS
from emu.errors import InputError
from emu.inputs import load_inputs
from emu.instruments import Instruments, Limits, help_of, never_measured, require, why_not
from emu.model.sources import find_model
from emu.record import Instructions, Run
from emu.run import RunOptions, run_firmware, run_model
from emu.suppressions import Suppression
from emu.targets import find_target, load_targets

SWITCHES = {each.name for each in fields(Instruments) if each.type in (bool, "bool")}
ACCEPTED = (Suppression(reason="known"),)


def test_every_row_speaks_of_options_and_figures_and_every_option_is_had_somewhere() -> None:
    measured = {name for row in EMULATORS.values() for name in row.measures}
    assert measured - SWITCHES <= Run.model_fields.keys() | Instructions.model_fields.keys()
    assert measured >= SWITCHES


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("esp32s3-renode", RunOptions(profile=True), "esp32s3-renode has no --profile; esp32s3-qemu has it"),
        (
            "stm32h7-renode",
            RunOptions(profile=True, coverage=True),
            "stm32h7-renode has no --profile or --coverage; stm32h7-qemu and stm32h7-unicorn have it",
        ),
        ("stm32h7-qemu", RunOptions(memcheck=True), "stm32h7-qemu has no --memcheck; stm32h7-unicorn has it"),
        (
            "esp32s3-qemu",
            RunOptions(memcheck=True),
            "esp32s3-qemu has no --memcheck; host-native and stm32h7-unicorn have it",
        ),
        (
            "host-native",
            RunOptions(stack_peak=True),
            "host-native has no --stack-peak; esp32s3-qemu, esp32s3-renode, stm32h7-qemu, stm32h7-renode and "
            "stm32h7-unicorn have it",
        ),
        (
            "host-native",
            RunOptions(limits=Limits(instructions=5)),
            "host-native counts no instructions; limit a run without end by --max-seconds",
        ),
        ("stm32h7-unicorn", RunOptions(replace_allocator=True), "--replace-allocator needs --memcheck"),
        ("stm32h7-unicorn", RunOptions(suppressions=ACCEPTED), "--suppressions needs --memcheck"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name_before_the_firmware_is_looked_at(
    tmp_path: Path, target: str, options: RunOptions, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        run_firmware(tmp_path / "none.elf", "none", find_target(target), None, options, lambda _done, _of: None)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("host-native", RunOptions(memcheck=True)),
        ("host-native", RunOptions(suppressions=ACCEPTED)),  # host-native always checks memory
        ("stm32h7-unicorn", RunOptions(memcheck=True, replace_allocator=True, suppressions=ACCEPTED)),
        ("stm32h7-qemu", RunOptions(stack_peak=True, traffic=True)),
    ],
)
def test_what_can_be_had_is_not_refused(target: str, options: RunOptions) -> None:
    require(options, find_target(target))


def test_what_is_measured_nowhere_is_not_said_to_be_elsewhere() -> None:
    assert why_not(find_target("stm32h7-qemu"), ["taste"]) == "stm32h7-qemu has no taste, and no target has"


def test_what_a_record_lacks_follows_from_what_the_emulator_measures() -> None:
    targets = load_targets()
    assert never_measured(targets["stm32h7-unicorn"]) == {}
    assert never_measured(targets["stm32h7-qemu"]) == {
        "memory_check": "stm32h7-qemu has no --memcheck; stm32h7-unicorn has it"
    }
    assert never_measured(targets["stm32h7-renode"]).keys() == {
        *("by_function", "coverage", "loads_by_region", "memory_check", "profile", "stores_by_region", "timeline")
    }


@pytest.mark.parametrize("name", sorted(SWITCHES))
def test_the_help_of_an_option_names_the_emulators_that_have_it_and_no_other(name: str) -> None:
    said = help_of(RunOptions, name).lower()
    for emulator, row in EMULATORS.items():
        assert (f" {emulator}" in said) == (name in row.measures), said


@pytest.mark.parametrize("name", ["stm32h7-unicorn", "stm32h7-qemu", "esp32s3-qemu", "host-native"])
def test_the_environment_names_only_what_ran_the_firmware(name: str) -> None:
    model, target = find_model("har"), find_target(name)
    assert model.inputs is not None
    run = run_model(model, target, load_inputs(model.inputs).first(1), RunOptions(), lambda _done, _of: None)
    program = {"native": "cc"}.get(target.emulator_name, target.emulator_name)
    assert run.environment.keys() == {"emu", program, "python", "system"}


def test_what_a_record_says_of_other_targets_is_true() -> None:
    targets = load_targets()
    renode = targets["esp32s3-renode"]
    for name in ("profile", "coverage", "memcheck", "traffic", "timeline", "by_function"):
        _, _, others = why_not(renode, [name]).partition("; ")
        named = {word.strip(",") for word in others.split()} & targets.keys()
        assert named
        assert all(name in targets[each].emulator.measures for each in named)
