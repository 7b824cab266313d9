"""The directive ``{generated} NAME``, which makes a reference from the code when the site is built.

NAME is a key of ``PARTS``. The generated text is never kept in a file.
"""

from collections.abc import Callable

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from emu.record import RunFile
from emu.suppressions import Suppression
from emu.targets import Board
from generator import action, choices, command_line, models, not_checked, pytest_plugin

PARTS: dict[str, Callable[[], str]] = {
    "action": lambda: action.describe("ci/action.yml"),
    "comment-action": lambda: action.describe("ci/comment/action.yml"),
    "command-line": command_line.describe,
    "board-file": lambda: models.describe(Board),
    "choices": choices.describe,
    "not-checked": not_checked.describe,
    "suppressions": lambda: models.describe(Suppression),
    "run-record": lambda: models.describe(RunFile),
    "pytest-options": pytest_plugin.describe_options,
    "pytest-settings": pytest_plugin.describe_settings,
    "pytest-markers": pytest_plugin.describe_markers,
    "pytest-fixtures": pytest_plugin.describe_fixtures,
}


class Generated(SphinxDirective):
    """The directive: it puts Markdown made from the code in its place."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """Return the nodes of the parsed Markdown."""
        return self.parse_text_to_nodes(PARTS[self.arguments[0]](), allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("generated", Generated)
    return {"version": "1", "parallel_read_safe": True}
