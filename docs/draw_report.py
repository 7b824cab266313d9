"""Draws the picture in the README from a run record: python docs/draw_report.py runs.json docs/report.svg."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from emu.record import RunFile
from emu.reports.terminal import print_run
from emu.targets import find_target

records, picture = map(Path, sys.argv[1:])
console = Console(record=True, width=100, file=io.StringIO())
for run in RunFile.model_validate_json(records.read_text()).runs:
    print_run(console, run, find_target(run.target).board)
drawing = console.export_svg(title="emu run kws --target stm32h7-unicorn")
picture.write_text(re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL))  # else fonts come from elsewhere
