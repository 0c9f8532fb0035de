"""Draws what a command prints as docs/demo.svg: `make demo 2>&1 | python docs/picture.py`."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

lines = [line.rstrip() for line in sys.stdin]
console = Console(record=True, width=max(map(len, lines)), file=io.StringIO())
for line in lines:
    text = Text(line)
    text.highlight_regex(r"\bdone\b", "green")
    text.highlight_regex(re.compile(r"^(deploy|evaluate)\b"), "cyan")
    text.highlight_regex(r"(?<=\| )\d\.\d{4}(?= ±)", "bold")
    console.print(text, soft_wrap=True, highlight=False)
Path(__file__).with_name("demo.svg").write_text(console.export_svg(title="make demo"))
