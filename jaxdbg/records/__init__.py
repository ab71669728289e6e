"""The plain values everyone in jaxdbg speaks: what hooks collect and views show.

Only the standard library is imported here, so that a saved report can be read on a
machine without JAX.
"""

from jaxdbg.records.array_type import ArrayType as ArrayType
from jaxdbg.records.call_times import CallTimes as CallTimes
from jaxdbg.records.compilations import Compilations as Compilations
from jaxdbg.records.compile_diff import Difference as Difference
from jaxdbg.records.compile_event import (
    CompileEvent as CompileEvent,
    Reason as Reason,
    Remark as Remark,
)
from jaxdbg.records.finding import Finding as Finding
from jaxdbg.records.frames import CallFrame as CallFrame, LocalValue as LocalValue
from jaxdbg.records.operand import Operand as Operand
from jaxdbg.records.origin import (
    Origin as Origin,
    Passed as Passed,
    Reached as Reached,
    Turn as Turn,
)
from jaxdbg.records.panel import PanelContent as PanelContent
from jaxdbg.records.peeked import Peeked as Peeked, PeekedValue as PeekedValue
from jaxdbg.records.report import Allowed as Allowed, Report as Report
from jaxdbg.records.source import SourceFrame as SourceFrame
from jaxdbg.records.trees import (
    LeafPicture as LeafPicture,
    LeafStats as LeafStats,
    TreeHistory as TreeHistory,
    TreeStats as TreeStats,
    tree_name as tree_name,
)
