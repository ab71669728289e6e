"""Which classic cause a non-finite value has.

The subjects are tried in the order of the imports, and in each the rules from top to
bottom: the most special first.
"""

from __future__ import annotations

from collections.abc import Sequence

# isort: off
from jaxdbg.origins.causes import (  # noqa: F401
    matrices,
    masks,
    gradients,
    zeros,
    overflows,
    infinities,
    domains,
    divisions,
)

# isort: on
from jaxdbg.origins.causes.rules import RULES, Cause
from jaxdbg.origins.scene import Moment, Scene


def of_birth(scene: Scene) -> Cause | None:
    """The first classic cause that fits, from the most special to the most general."""
    return next(filter(None, (rule.cause(scene) for rule in RULES)), None)


def of_argument(
    name: str, is_parameter: bool, made_by: str, moments: Sequence[Moment]
) -> Cause | None:
    """The cause of a non-finite value that was there before the call.

    Arguments:
        name: of the argument that it came in through.
        is_parameter: whether that belongs to a model.
        made_by: the earlier call that made it, or empty.
        moments: what came of it on its way.
    """
    masked = masks.of_data(name, moments)
    if masked is not None:
        return masked
    if is_parameter:
        since = f"; {made_by} made it" if made_by else ""
        return Cause(
            "a parameter that was already bad before the call",
            f"look at what wrote it last{since}: a checkpoint, an initialiser, or an "
            "update outside of this region",
        )
    return None
