"""The colours of figures and of static HTML, which read on a white and a dark ground.

`colours.json` holds every colour of jaxdbg. `light`, `dark` and `scales` are those of
the panel: `js/src/theme.ts` reads the same file. `figures` has what the panel lacks.
"""

from __future__ import annotations

import json
from importlib.resources import files

_ALL = json.loads((files("jaxdbg.views") / "colours.json").read_text("utf-8"))

INK: str = _ALL["figures"]["ink"]
"""Of text and lines: contrast of 4.5 on white, 4.2 on JupyterLab's dark ground."""

BAD: str = _ALL["light"]["nan"]

ADVICE: str = _ALL["light"]["selected"]
"""Of the tint behind what to do."""

PHASES: dict[str, str] = {
    "trace": _ALL["figures"]["trace"],
    "lower": _ALL["figures"]["lower"],
    "compile": _ALL["light"]["compile"],
}
"""By phase. Each has a contrast of 3 to white and to black; in a bar their order, too,
tells them apart."""

GOOD = PHASES["compile"]
