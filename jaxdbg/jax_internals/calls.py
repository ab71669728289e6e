"""The user's function that jit is running, with the arguments it was given."""

from __future__ import annotations

from dataclasses import dataclass
from types import FrameType
from typing import Any

from jaxdbg.jax_internals import names as _compat
from jaxdbg.jax_internals.chex.stand_ins import original


@dataclass(frozen=True, slots=True)
class UserCall:
    """A call of a jitted function, as Python sees it.

    Attributes:
        function: what was jitted.
        args, kwargs: what it is called with.
        static_argnums, static_argnames: which of these jit takes as static.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()


def running_call(frame: FrameType | None) -> UserCall | None:
    """The innermost call on the stack that jit is running, or None.

    Arguments:
        frame: where to begin to look, from inside out.
    """
    codes = _compat.calling_codes()
    while frame is not None:
        local = frame.f_locals if frame.f_code in codes else None
        if local is not None and callable(local.get("fun")):
            outer = frame.f_back.f_locals if frame.f_back is not None else {}
            info = local.get("jit_info") or outer.get("jit_info")
            return UserCall(
                original(local["fun"]),
                tuple(local["args"]),
                dict(local["kwargs"]),
                tuple(getattr(info, "static_argnums", ())),
                tuple(getattr(info, "static_argnames", ())),
            )
        frame = frame.f_back
    return None
