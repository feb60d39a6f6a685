from __future__ import annotations

from dataclasses import dataclass

import pytest

from vecmigrate.errors import RevisionError
from vecmigrate.revisions.graph import RevisionGraph
from vecmigrate.revisions.identifiers import needs_applied


@dataclass(frozen=True)
class Node:
    revision: str
    down_revision: tuple[str, ...] = ()
    branch_labels: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


def graph(*nodes: Node) -> RevisionGraph:
    return RevisionGraph.from_nodes(nodes)


# a1 ── b1 ── c1
LINE = graph(Node("a1"), Node("b1", ("a1",)), Node("c1", ("b1",)))

# a1 ── b1 ──────── m1 ── e1
#   └── c1 (side) ──┘
MERGED = graph(
    Node("a1"),
    Node("b1", ("a1",)),
    Node("c1", ("a1",), ("side",)),
    Node("m1", ("b1", "c1")),
    Node("e1", ("m1",)),
)

# a1 ── b1            (main)
# x1 ── y1            (side); y1 depends on b1
TWO = graph(
    Node("a1", (), ("main",)),
    Node("b1", ("a1",)),
    Node("x1", (), ("side",)),
    Node("y1", ("x1",), (), ("b1",)),
)

# a1 ── b1 ── c1
#         └── d1 (side) ── f1
OPEN = graph(
    Node("a1"), Node("b1", ("a1",)), Node("c1", ("b1",)), Node("d1", ("b1",), ("side",)), Node("f1", ("d1",))
)


def message(graph_: RevisionGraph, identifier: str, applied: tuple[str, ...] = ()) -> str:
    with pytest.raises(RevisionError) as caught:
        graph_.resolve(identifier, applied)
    return str(caught.value)


class TestBuilding:
    def test_the_empty_graph_has_nothing(self):
        empty = graph()
        assert empty.heads() == empty.bases() == empty.topological() == ()
        assert empty.resolve("head") == ()
        assert empty.upgrade_path((), "head") == []
        assert empty.downgrade_path((), "base") == []
        assert empty.history() == []

    def test_order_does_not_depend_on_the_order_of_the_scripts(self):
        nodes = [Node("a1"), Node("b1", ("a1",)), Node("c1", ("a1",)), Node("d1", ("b1", "c1"))]
        assert (
            graph(*nodes).topological() == graph(*reversed(nodes)).topological() == ("a1", "b1", "c1", "d1")
        )

    @pytest.mark.parametrize(
        ("nodes", "expected"),
        [
            ([Node("a1"), Node("a1")], "'a1' exists twice"),
            ([Node("a1", ("a1",))], "'a1' revises itself"),
            ([Node("a1", (), (), ("a1",))], "'a1' depends on itself"),
            ([Node("a1", ("zz",))], "'a1' revises 'zz', which no script defines"),
            ([Node("a1", (), (), ("zz",))], "'a1' depends on 'zz', which no script defines"),
            ([Node("a1"), Node("a2"), Node("b1", (), (), ("a",))], "depends on 'a', which could be a1, a2"),
            ([Node("a1", ("b1",)), Node("b1", ("a1",))], "in a circle: a1 -> b1 -> a1"),
            ([Node("a1", (), (), ("b1",)), Node("b1", ("a1",))], "in a circle: a1 -> b1 -> a1"),
            ([Node("a1", (), ("x",)), Node("b1", (), ("x",))], "label 'x' is on 'a1' and on 'b1'"),
            ([Node("a1", (), ("b1",)), Node("b1")], "label 'b1' of 'a1' is also a revision id"),
            ([Node("head")], "'head' is not allowed"),
            ([Node("a+1")], "'a+1' is not allowed"),
            ([Node("a 1")], "'a 1' is not allowed"),
            ([Node("")], "'' is not allowed"),
            ([Node("a1", (), ("my@label",))], "'my@label' is not allowed"),
        ],
    )
    def test_what_is_wrong_is_said(self, nodes: list[Node], expected: str):
        with pytest.raises(RevisionError) as caught:
            graph(*nodes)
        assert expected in str(caught.value)

    def test_a_missing_parent_is_advised_on(self):
        with pytest.raises(RevisionError, match="did you mean 'abcd12'"):
            graph(Node("abcd12"), Node("b1", ("abcd13",)))

    def test_a_long_history_needs_no_deep_recursion(self):
        long = graph(Node("r0"), *(Node(f"r{i}", (f"r{i - 1}",)) for i in range(1, 5000)))
        assert len(long.upgrade_path((), "head")) == 5000


class TestRelations:
    def test_heads_and_bases(self):
        assert MERGED.heads() == ("e1",)
        assert MERGED.bases() == ("a1",)
        assert set(TWO.heads()) == {"b1", "y1"}
        assert set(TWO.bases()) == {"a1", "x1"}
        assert OPEN.branch_points() == ("b1",)

    def test_reach_follows_dependencies(self):
        assert TWO.ancestors("y1") == {"a1", "b1", "x1"}
        assert TWO.descendants("a1") == {"b1", "y1"}

    def test_current_is_what_nothing_applied_stands_on(self):
        assert set(MERGED.current({"a1", "b1", "c1"})) == {"b1", "c1"}
        assert MERGED.current({"a1", "b1", "c1", "m1"}) == ("m1",)
        assert MERGED.current(set()) == ()

    def test_labels_reach_up_and_down_to_the_branch_point(self):
        assert OPEN.labels("f1") == OPEN.labels("d1") == ("side",)
        assert OPEN.labels("b1") == OPEN.labels("c1") == ()
        assert TWO.labels("b1") == ("main",)

    def test_a_label_above_a_merge_does_not_reach_below_it(self):
        above = graph(Node("a1"), Node("b1"), Node("m1", ("a1", "b1")), Node("c1", ("m1",), ("top",)))
        assert above.branch("top") == {"c1"}
        assert above.downgrade_path(above.topological(), "top@base") == ["c1"]

    def test_an_unknown_revision_is_named(self):
        for call in (LINE.ancestors, LINE.descendants, LINE.parents, LINE.children, LINE.labels):
            with pytest.raises(RevisionError, match="no script defines revision 'zz'"):
                call("zz")


class TestResolve:
    @pytest.mark.parametrize(
        ("identifier", "expected"),
        [
            ("b1", ("b1",)),
            ("b", ("b1",)),
            ("head", ("c1",)),
            ("heads", ("c1",)),
            ("base", ()),
            ("current", ("b1",)),
            ("+1", ("c1",)),
            ("-1", ("a1",)),
            ("-2", ()),
            ("current+1", ("c1",)),
            ("current-1", ("a1",)),
            ("a1+2", ("c1",)),
            ("a+1", ("b1",)),
            ("c1-1", ("b1",)),
            ("c1-3", ()),
            ("head-2", ("a1",)),
            ("base+1", ("a1",)),
            ("b1@head", ("c1",)),
        ],
    )
    def test_the_grammar_on_a_line(self, identifier: str, expected: tuple[str, ...]):
        assert LINE.resolve(identifier, ("a1", "b1")) == expected

    @pytest.mark.parametrize(
        ("identifier", "applied", "expected"),
        [
            ("side", (), ("d1",)),
            ("side@head", (), ("f1",)),
            ("side@heads", (), ("f1",)),
            ("side@base", (), ("b1",)),
            ("side@f1", (), ("f1",)),
            ("side@head-1", (), ("d1",)),
            ("side@+1", ("a1", "b1", "d1"), ("f1",)),
            ("side@+1", (), ("d1",)),
            ("side@+2", (), ("f1",)),
            ("side@-1", ("a1", "b1", "c1", "d1", "f1"), ("d1",)),
            ("side@current", ("a1", "b1", "c1", "d1"), ("d1",)),
        ],
    )
    def test_the_grammar_on_branches(
        self, identifier: str, applied: tuple[str, ...], expected: tuple[str, ...]
    ):
        assert OPEN.resolve(identifier, applied) == expected

    @pytest.mark.parametrize(
        ("identifier", "applied", "expected"),
        [
            ("head", (), "there are 2 heads: c1, f1 (expected one for 'head'); say `heads`"),
            ("+1", ("a1", "b1"), "'+1' is ambiguous: it could be c1, d1"),
            ("b1+1", (), "'b1+1' is ambiguous: it could be c1, d1"),
            ("-1", ("a1", "b1", "c1", "d1"), "'-1' is ambiguous: it could be c1, d1"),
            ("heads-1", (), "starts at 2 revisions"),
            ("+1", ("a1", "b1", "c1", "d1", "f1"), "'+1' goes beyond the head"),
            ("c1+1", (), "goes beyond the head 'c1'"),
            ("a1-2", (), "goes below the base"),
            ("-2", ("a1",), "'-2' goes below the base (1 applied)"),
            ("side@a1", (), "revision 'a1' is not on branch 'side'"),
            ("sid@head", (), "no branch label 'sid'; did you mean 'side'?"),
            ("zz", (), "no revision 'zz'"),
            ("", (), "names no revision"),
            ("a@b@c", (), "is not a revision identifier"),
            ("a1++1", (), "is not a revision identifier"),
        ],
    )
    def test_what_does_not_resolve_says_why(self, identifier: str, applied: tuple[str, ...], expected: str):
        assert expected in message(OPEN, identifier, applied)

    def test_an_ambiguous_prefix_lists_the_candidates(self):
        several = graph(Node("ab12"), Node("ab34", ("ab12",)))
        assert "'ab' is the start of 2 revisions: ab12, ab34" in message(several, "ab")

    def test_a_full_id_wins_over_longer_ones(self):
        several = graph(Node("ab"), Node("abc", ("ab",)))
        assert several.resolve("ab") == ("ab",)

    def test_a_step_below_a_merge_is_ambiguous(self):
        assert "'m1-1' is ambiguous: it could be b1, c1" in message(MERGED, "m1-1")

    def test_which_identifiers_need_the_server(self):
        assert [needs_applied(word) for word in ("current", "+1", "-2", "side@-1")] == [True] * 4
        assert [needs_applied(word) for word in ("head", "base", "a1", "a1-1", "side@head")] == [False] * 5


class TestUpgradePath:
    def test_only_what_is_missing_in_order(self):
        assert LINE.upgrade_path({"a1"}, "head") == ["b1", "c1"]
        assert LINE.upgrade_path({"a1", "b1", "c1"}, "head") == []
        assert LINE.upgrade_path({"a1", "b1"}, "a1") == []
        assert LINE.upgrade_path((), "base") == []

    def test_dependencies_come_first(self):
        path = TWO.upgrade_path((), "y1")
        assert set(path) == {"a1", "b1", "x1", "y1"}
        assert path.index("b1") < path.index("y1")

    def test_a_merge_brings_both_sides(self):
        assert MERGED.upgrade_path({"a1"}, "head") == ["b1", "c1", "m1", "e1"]

    def test_a_step_up_from_both_sides_of_a_merge(self):
        assert MERGED.upgrade_path({"a1", "b1", "c1"}, "+1") == ["m1"]

    def test_heads_takes_every_branch(self):
        assert set(OPEN.upgrade_path({"a1"}, "heads")) == {"b1", "c1", "d1", "f1"}

    def test_a_step_down_is_refused(self):
        with pytest.raises(RevisionError, match="leads down.*use `downgrade`"):
            LINE.upgrade_path({"a1"}, "-1")

    def test_an_applied_revision_without_script_is_refused(self):
        with pytest.raises(RevisionError, match="no script defines revision 'zz'"):
            LINE.upgrade_path({"zz"}, "head")


class TestDowngradePath:
    ALL = ("a1", "b1", "c1", "d1", "f1")

    def test_what_stands_on_the_target_newest_first(self):
        assert LINE.downgrade_path(("a1", "b1", "c1"), "a1") == ["c1", "b1"]
        assert LINE.downgrade_path(("a1", "b1", "c1"), "base") == ["c1", "b1", "a1"]
        assert LINE.downgrade_path(("a1", "b1"), "-1") == ["b1"]
        assert LINE.downgrade_path(("a1", "b1"), "b1") == []

    def test_other_branches_stay(self):
        assert OPEN.downgrade_path(self.ALL, "d1") == ["f1"]
        assert OPEN.downgrade_path(self.ALL, "side@base") == ["f1", "d1"]
        assert OPEN.downgrade_path(self.ALL, "side@-2") == ["f1", "d1"]

    def test_what_depends_on_the_target_goes_too(self):
        assert TWO.downgrade_path(("a1", "b1", "x1", "y1"), "a1") == ["y1", "b1"]
        assert TWO.downgrade_path(("a1", "b1", "x1", "y1"), "main@base") == ["y1", "b1", "a1"]

    def test_a_step_down_from_a_merge_takes_the_merge_alone(self):
        assert MERGED.downgrade_path(("a1", "b1", "c1", "m1"), "-1") == ["m1"]
        with pytest.raises(RevisionError, match="'-2' is ambiguous: it could be b1, c1"):
            MERGED.downgrade_path(("a1", "b1", "c1", "m1"), "-2")

    def test_one_side_of_a_merge_takes_the_merge_too(self):
        assert MERGED.downgrade_path(("a1", "b1", "c1", "m1", "e1"), "c1") == ["e1", "m1"]

    def test_a_branch_that_others_stand_on_has_no_step_of_its_own(self):
        with pytest.raises(RevisionError, match="other branches stand on 'main'"):
            TWO.downgrade_path(("a1", "b1", "x1", "y1"), "main@-1")

    @pytest.mark.parametrize(
        ("target", "expected"),
        [("c1", "'c1' is not applied"), ("+1", "leads up"), ("-3", "goes below the base")],
    )
    def test_what_cannot_be_done_is_said(self, target: str, expected: str):
        with pytest.raises(RevisionError, match=expected):
            LINE.downgrade_path(("a1", "b1"), target)


class TestHistory:
    @pytest.mark.parametrize(
        ("span", "expected"),
        [
            (None, ["c1", "b1", "a1"]),
            (":", ["c1", "b1", "a1"]),
            ("b1:", ["c1", "b1"]),
            (":b1", ["b1", "a1"]),
            ("b1:b1", ["b1"]),
            ("base:head", ["c1", "b1", "a1"]),
            ("-1:current", ["b1", "a1"]),
            ("current:", ["c1", "b1"]),
            ("c1:a1", []),
        ],
    )
    def test_spans_include_both_ends_newest_first(self, span: str | None, expected: list[str]):
        assert LINE.history(span, ("a1", "b1")) == expected

    def test_a_span_needs_a_colon(self):
        with pytest.raises(RevisionError, match="expected from:to"):
            LINE.history("a1")
