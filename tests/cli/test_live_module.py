"""A module that a file defines, from the command line: exported, run, and refused in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from records import read_runs
from safetensors.torch import save_file

import emu as package
from emu.errors import InputError
from emu.inputs import load_inputs
from emu.run import read_request

DEFINITION = """
import torch
from torch import nn

from emu.model.config import ModelConfig
from emu.model.reference import Mamba


class Classifier(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.inp = nn.Linear(5, width)
        self.norm = nn.LayerNorm(width)
        self.mixer = Mamba(ModelConfig(5, 3, d_model=width, d_inner=16, d_state=4, dt_rank=1))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        hidden = self.inp(x)
        return self.head((hidden + self.mixer(self.norm(hidden)))[:, -1])


class Tanh(Classifier):
    def forward(self, x):
        return self.head(torch.tanh(self.mixer(self.inp(x))).mean(1))


def build():
    torch.manual_seed(3)
    return Classifier()


def wide():
    return Classifier(12)


def raises():
    raise ValueError("no data")


def needs(width):
    return Classifier(width)


def kernels():
    import selective_scan_cuda


def nothing():
    return 3


number = 4
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A file that defines a classifier, with inputs and weights next to it."""
    (tmp_path / "net.py").write_text(DEFINITION)
    x = np.random.default_rng(0).normal(size=(6, 12, 5)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.array([0, 1, 2, 0, 1, 2]), classes=["a", "b", "c"])
    module = classifier(tmp_path / "net.py")
    weights = {name: tensor * 1.5 for name, tensor in module.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}}, tmp_path / "weights.pt")
    return tmp_path / "net.py"


def classifier(path: Path) -> torch.nn.Module:
    namespace: dict = {"__name__": "net"}
    exec(path.read_text(), namespace)
    return namespace["build"]()


@pytest.mark.parametrize("weights", [None, "weights.safetensors", "weights.pt"])
def test_the_image_and_the_inputs_are_those_of_the_module(emu, net: Path, weights: str | None):
    given = () if weights is None else ("--weights", net.with_name(weights))
    outcome = emu("export", f"{net}:build", "--inputs", net.with_name("x.npz"), *given, "-o", net.parent / "out")
    assert outcome.code == 0, outcome
    module_line, checked, written = outcome.stdout.splitlines()
    assert module_line == (
        "from the module: model.inp: linear 5 -> 8; model.norm: LayerNorm, epsilon 1e-05; model.mixer: Mamba block of "
        "d_inner 16, d_state 4, d_conv 4, dt_rank 1, added to the residual; pooling: the last step; "
        "model.head: linear 8 -> 3"
    )
    assert checked.startswith("checked: the logits of 6 inputs agree with it within ")
    assert written.startswith(f"{net.parent}/out/model.mamba: ")
    inputs = load_inputs(net.parent / "out" / "inputs.npz")
    module = classifier(net)
    if weights is not None:
        module.load_state_dict({name: 1.5 * tensor for name, tensor in module.state_dict().items()})
    with torch.no_grad():
        expected = module.double()(torch.tensor(inputs.x).double()).numpy()
    assert inputs.logits64 is not None
    assert np.abs(inputs.logits64 - expected).max() < 1e-12
    assert inputs.labels is not None
    assert (list(inputs.labels), inputs.classes) == ([0, 1, 2, 0, 1, 2], ("a", "b", "c"))
    record, files = net.with_name("run.json"), net.parent / "out"
    outcome = emu("run", files / "model.mamba", "--inputs", files / "inputs.npz", "-t", "stm32h7-unicorn",
                  "--trace-layers", "--json", record)  # fmt: skip
    assert outcome.code == 0, outcome
    (run,) = read_runs(record)
    assert run.parity is not None
    assert "float64" in run.parity.reference
    assert run.layers_of == "module"


def test_a_module_runs_without_files_between(emu, net: Path):
    record = net.with_name("run.json")
    outcome = emu("run", f"{net}:Classifier", "--inputs", net.with_name("x.npz"), "--limit", 4, "-t", "stm32h7-unicorn",
                  "--trace-layers", "--json", record)  # fmt: skip
    assert outcome.code == 0, outcome
    (run,) = read_runs(record)
    assert run.model == "net"
    assert run.reading is not None
    assert run.reading.checked_inputs == 4
    assert {each.source for each in run.reading.statements} == {"module"}
    assert run.layers_of == "module"
    assert "Layer by layer, against the module's own tensors" in outcome.stdout
    assert {verdict.name for verdict in run.verdicts} >= {"layers agree with the module's own"}


@pytest.mark.parametrize(
    ("text", "weights", "fragments"),
    [
        ("net.py", None, ("net.py: say which function of the file makes the model", "net.py:build")),
        ("net.py:bild", None, ("net.py: has no 'bild'; it defines Classifier, Tanh, build",)),
        ("not.py:build", None, ("not.py: no such file",)),
        ("net.py:raises", None, ("net.py: raises() raises ValueError: no data (line 37)",)),
        ("net.py:needs", None, ("needs() raises TypeError: needs() missing 1 required positional argument: 'width'",)),
        ("net.py:nothing", None, ("nothing() returns int; emu needs a torch.nn.Module",)),
        ("net.py:number", None, ("number is int; emu needs a function that returns the model",)),
        ("net.py:Tanh", None, ("net.py: the input of model.head (torch.nn.Linear) is the mean over time of tanh of",)),
        (
            "net.py:wide",
            "weights.pt",
            ("weights.pt: does not fit", "inp.weight has shape [8, 5], the model's has [12, 5]"),
        ),
        ("net.py:build", "no.pt", ("no.pt: No such file",)),
        ("x.mamba", "weights.pt", ("--weights", "my_model.py:build")),
    ],
)
def test_what_is_wrong_is_named(
    net: Path, monkeypatch: pytest.MonkeyPatch, text: str, weights: str | None, fragments: tuple[str, ...]
):
    monkeypatch.chdir(net.parent)
    with pytest.raises(InputError) as caught:
        read_request(text, Path("x.npz"), weights=None if weights is None else Path(weights))
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_mistake_is_one_line(emu, net: Path):
    inputs, out = ("--inputs", net.with_name("x.npz")), net.parent / "out"
    outcome = emu("export", f"{net}:kernels", *inputs, "-o", out)
    outcome.assert_one_clear_line("mamba_ssm's kernels run on CUDA only", "selective_scan_cuda", code=3)
    outcome = emu("export", f"{net}:build", *inputs, "--set", "pooling=last", "-o", out)
    outcome.assert_one_clear_line("net.py: --set and --pooling are for checkpoints; a module shows what it computes")
    outcome = emu("run", f"{net}:raises", *inputs, "-t", "host-native")
    outcome.assert_one_clear_line("net.py: raises() raises ValueError: no data (line 37)")
    assert not out.exists()


def test_a_file_that_is_no_python_is_named_with_its_line(emu, net: Path):
    net.write_text("import torch\nimport no_such_module\n")
    outcome = emu("export", f"{net}:build", "--inputs", net.with_name("x.npz"), "-o", net.parent / "out")
    outcome.assert_one_clear_line("the file raises ModuleNotFoundError: No module named 'no_such_module' (line 2)")


def test_logits_of_another_model_are_refused(emu, net: Path):
    x = load_inputs(net.with_name("x.npz")).x
    np.savez(net.with_name("x.npz"), x=x, logits=np.ones((6, 3), np.float32))
    outcome = emu("run", f"{net}:build", "--inputs", net.with_name("x.npz"), "-t", "host-native")
    outcome.assert_one_clear_line("logits that are not this model's", "Leave them out")


def test_a_module_needs_inputs(emu, net: Path):
    for command in (("export", "-o", "out"), ("run", "-t", "host-native")):
        outcome = emu(command[0], f"{net}:build", *command[1:])
        outcome.assert_one_clear_line("net.py needs inputs", "--inputs x.npz")
    outcome = emu("build", f"{net}:build", "-t", "stm32h7-unicorn", "-o", "out.elf")
    outcome.assert_one_clear_line("a module needs inputs", "emu export")


def test_the_python_function_writes_the_same_files(net: Path):
    inputs = load_inputs(net.with_name("x.npz"))
    module = classifier(net).train()
    exported = package.export(module, torch.tensor(inputs.x), net.parent / "out", y=inputs.labels)
    assert exported.image.read_bytes()[:4] == b"MAMB"
    assert exported.reading.checked_inputs == 6
    assert module.training
    assert load_inputs(exported.inputs).labels is not None
    for wrong in (torch.zeros(3, 4), torch.zeros((2, 3, 5), dtype=torch.int64), np.full((2, 3, 5), np.nan)):
        with pytest.raises(InputError, match="example"):
            package.export(module, wrong, net.parent / "out")


def test_importing_the_package_does_not_import_torch():
    code = "import sys, emu, emu.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
