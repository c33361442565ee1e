"""JSON with an indent is what the standard library writes, in pieces."""

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.indented import indented_pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=4), inner, max_size=5),
    max_leaves=60,
)


@given(VALUES)
def test_json_with_an_indent_is_written_as_the_library_does(value):
    assert "".join(indented_pieces(value)) == json.dumps(value, ensure_ascii=False, indent=2)


@pytest.mark.parametrize(
    "value",
    [{1: [2]}, {None: [1] * 30}, {"a": {True: {"b": 1}}}, [({"a": (1, 2)}, ())] * 30, "\n\ud800", {"a\n": "é\u2028"}],
)
def test_odd_keys_tuples_and_texts_are_written_as_the_library_does(value):
    assert "".join(indented_pieces(value)) == json.dumps(value, ensure_ascii=False, indent=2)


def test_what_json_does_not_know_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        list(indented_pieces({"a": [object()]}))


def test_a_long_list_is_written_item_by_item():
    assert max(map(len, indented_pieces({"users": [{"name": "x" * 100}] * 1000}))) < 200


def test_nothing_is_left_for_the_garbage_collector():
    row = {"errors": [], "statuses": {}, "seen": None, "share": 0.5, "ordinary": True}
    gc.collect()
    list(indented_pieces({"users": [row] * 30}))
    assert gc.collect() == 0
