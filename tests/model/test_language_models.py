"""A language model of transformers on the boards: its logits at each step, and its greedy continuation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import FalconMambaConfig, FalconMambaForCausalLM, MambaConfig, MambaForCausalLM

from emu.build import build_firmware
from emu.errors import InputError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.mailbox import Mailbox
from emu.model.sources import find_model
from emu.run import RunOptions, plan, read_request
from emu.run.driving import find_mailbox
from emu.run.emulators import open_machine
from emu.targets import find_target

VOCABULARY, GENERATED = 37, 64
PROMPT = [3, 17, 5]


@pytest.fixture(params=["mamba", "falcon_mamba"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model with random weights as transformers saves it, and tokens with its own answers."""
    torch.manual_seed(5)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 24, "num_hidden_layers": 2, "state_size": 6, "use_mambapy": False}
    if request.param == "mamba":
        model = MambaForCausalLM(MambaConfig(**sizes, initializer_range=0.6))
    else:
        model = FalconMambaForCausalLM(FalconMambaConfig(**sizes, initializer_range=0.6, tie_word_embeddings=False))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    model.eval().save_pretrained(tmp_path)
    tokens = model.generate(  # pyright: ignore[reportAttributeAccessIssue]
        torch.tensor([PROMPT]), max_new_tokens=GENERATED, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    with torch.no_grad():
        logits = model.double()(tokens).logits.numpy()
    np.savez(tmp_path / "inputs.npz", x=tokens.numpy(), logits64=logits)
    return tmp_path


@pytest.mark.parametrize("board", ["stm32h7-unicorn", "esp32s3-qemu"])
def test_the_board_continues_a_text_as_transformers_does(directory: Path, board: str) -> None:
    request = read_request(directory, directory / "inputs.npz")
    (job,) = plan([request], [find_target(board)], RunOptions(tolerance=1e-5))  # the library rounds norms to float32
    run = job.run(lambda _done, _total: None)
    assert run.ok, run.verdicts
    assert run.parity is not None
    assert run.parity.agreeing == len(PROMPT) + GENERATED

    tokens = np.load(directory / "inputs.npz")["x"][0]
    assert len(set(tokens[len(PROMPT) :])) > 4  # a text, not one token for ever
    assert generated(directory, board) == tokens[len(PROMPT) :].tolist()


def generated(directory: Path, board: str) -> list[int]:
    """Return the tokens that the board gives if each token of the largest logit is the next input."""
    target = find_target(board)
    firmware = Firmware.load(build_firmware(find_model(str(directory)).image, target.board), target)
    address = find_mailbox(firmware, None)
    assert address is not None
    found: list[int] = []
    with open_machine(firmware, target, Instruments()) as machine:
        machine.boot()
        mailbox = Mailbox.open(machine, address, firmware.ram)
        for step in range(len(PROMPT) + GENERATED - 1):
            token = PROMPT[step] if step < len(PROMPT) else found[-1]
            reply, _ = mailbox.step(np.array([token], np.float32), first=step == 0, finish=True)
            assert reply.ok
            if step >= len(PROMPT) - 1:
                found.append(int(mailbox.read_outputs().argmax()))
    return found


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.array([[3, VOCABULARY]]), f"x holds {VOCABULARY} at [0, 1]; the model's tokens are 0 to {VOCABULARY - 1}"),
        (
            np.zeros((1, 2, VOCABULARY), np.float32),
            "the model takes tokens: x has shape [1, 2, 37], expected int [N, T]",
        ),
    ],
    ids=["another token", "one-hot rows"],
)
def test_what_is_no_token_of_the_model_is_refused(directory: Path, x: np.ndarray, said: str) -> None:
    np.savez(directory / "other.npz", x=x)
    request = read_request(directory, directory / "other.npz")
    with pytest.raises(InputError) as refused:
        plan([request], [find_target("stm32h7-unicorn")], RunOptions())
    assert said in str(refused.value)
