"""The widget on its own, without a page."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import ipywidgets
import numpy as np
import pytest

import jaxdbg
import jaxdbg.notebook.widget as panel
from jaxdbg import finite_map
from jaxdbg.notebook.widget import Panel
from jaxdbg.records import PanelContent
from jaxdbg.views.panel.data import panel_data
from jaxdbg.views.panel.page import page
from tests.programs import panel as made


@pytest.fixture(autouse=True)
def closed_again() -> Any:
    yield
    ipywidgets.Widget.close_all()


def sent(widget: Panel, asked: object) -> list[Any]:
    """What the widget answers a message with."""
    answers: list[Any] = []
    widget.send = answers.append  # type: ignore[method-assign]
    widget._asked(widget, asked, [])
    return answers


ASK = {"ask": "tile", "id": 7, "tree": "model", "leaf": 2, "window": []}


def test_a_panel_holds_what_the_contract_says() -> None:
    data = json.loads(Panel(PanelContent(made.REPORT, (made.MODEL,))).data)
    assert data["title"] == "cell 8"
    assert data["report"]["findings"][1]["path"] == "model.conv1.kernel"


def test_an_answer_bears_the_number_of_its_question() -> None:
    tree = {"w": np.ones(3)}
    widget = Panel(maps=(finite_map(tree, "model"),))
    (answer,) = sent(widget, {**ASK, "leaf": 0})
    assert (answer["id"], answer["answer"], answer["error"]) == (7, "tile", "")
    assert answer["values"] == ["1.0", "1.0", "1.0"]


def test_what_breaks_is_the_answer() -> None:
    (answer,) = sent(Panel(), ASK)
    assert answer["error"] == "The elements of this tree were not kept."
    tree = {"w": np.ones(3)}
    widget = Panel(maps=(finite_map(tree, "model"),))
    (answer,) = sent(widget, {**ASK, "leaf": 0, "window": [[0, 9]]})
    assert answer["error"].startswith("ValueError: An array of shape (3,) has no win")
    del tree["w"]
    (answer,) = sent(widget, {**ASK, "leaf": 0})
    assert "is not there any more" in answer["error"]


@pytest.mark.parametrize("message", [None, [], {}, {"ask": "else", "id": 1}])
def test_messages_of_others_are_left_alone(message: object) -> None:
    assert sent(Panel(), message) == []


def test_one_panel_is_in_a_notebook_and_those_before_are_freed() -> None:
    first = weakref.ref(Panel(PanelContent(made.REPORT)))
    panel.leave_only(first())
    assert first() is not None
    panel.leave_only(Panel(PanelContent(made.REPORT)))
    gc.collect()
    assert first() is None
    panel.leave_only(None)


def test_who_is_given_panels_may_keep_several() -> None:
    first = jaxdbg.show({"a": np.ones(3)}, "first")
    second = jaxdbg.show({"b": np.ones(3)}, "second")
    assert first is not None
    assert second is not None
    assert first.comm is not None  # not closed
    assert second.comm is not None


def test_no_trait_shadows_one_of_a_widget() -> None:
    ours = set(Panel.class_own_traits())
    assert ours & {"keys", "comm", "layout", "tooltip", "tabbable"} == set()


def test_a_page_holds_everything_and_ends_where_it_should() -> None:
    hostile = made.Finding("nan", "f", 1, "</script><script>alert(1)</script>")
    report = made.Report(findings=(hostile,))
    text = page(panel_data(report), "<p>no script</p>")
    assert text.count("</script>") == 2
    assert "<noscript><p>no script</p></noscript>" in text
    assert "https://" not in text


def test_a_tree_is_called_what_the_caller_has_written() -> None:
    grads = {"w": np.array([1.0, np.nan])}
    widget = jaxdbg.show(grads)
    assert widget is not None
    data = json.loads(widget.data)
    assert (data["title"], data["trees"][0]["paths"]) == ("grads", ['grads["w"]'])


def test_outside_a_notebook_the_panel_is_what_show_returns() -> None:
    assert isinstance(jaxdbg.show(made.REPORT), Panel)
