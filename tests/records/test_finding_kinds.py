"""The table of the kinds of finding, against what writes and reads them."""

from __future__ import annotations

import re

from jaxdbg.options import ERROR_CATEGORIES
from jaxdbg.records import Finding
from jaxdbg.records.finding_kinds import (
    FINDING_KINDS,
    kind_of,
    kind_of_error,
    kind_of_stage,
)


def test_the_record_names_the_kinds_of_the_table() -> None:
    (said,) = re.findall(r"kind: (.*?)\.\n", Finding.__doc__ or "", re.DOTALL)
    assert re.findall(r'"(\w+)"', said) == list(FINDING_KINDS)


def test_what_errors_may_name_is_looked_for_on_request() -> None:
    assert ERROR_CATEGORIES == ("index", "div")


def test_a_kind_is_known_by_its_error_and_by_its_stage() -> None:
    assert kind_of_error("OOBError").name == "index"
    assert kind_of_error("AnErrorOfTomorrow").name == "check"
    assert kind_of_stage("lower") is None
    assert kind_of_stage("compile") is FINDING_KINDS["compiles"]


def test_a_kind_of_a_newer_jaxdbg_is_taken_for_a_check() -> None:
    assert kind_of("overflow").name == "check"
