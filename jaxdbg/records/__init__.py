"""The plain values everyone in jaxdbg speaks: what hooks collect and views show.

Only the standard library is imported here, so that a saved report can be read on a
machine without JAX.
"""

from jaxdbg.records.call_times import CallTimes as CallTimes
from jaxdbg.records.compilations import (
    CompileEvent as CompileEvent,
    CompileLog as CompileLog,
    Reason as Reason,
    Remark as Remark,
)
from jaxdbg.records.finding import Finding as Finding
from jaxdbg.records.origin import (
    KINDS as KINDS,
    Operand as Operand,
    Origin as Origin,
    Reached as Reached,
    Turn as Turn,
)
from jaxdbg.records.report import Report as Report
from jaxdbg.records.source import SourceFrame as SourceFrame
from jaxdbg.records.trees import (
    LeafPicture as LeafPicture,
    LeafStats as LeafStats,
    TreeHistory as TreeHistory,
    TreeStats as TreeStats,
    tree_name as tree_name,
)
