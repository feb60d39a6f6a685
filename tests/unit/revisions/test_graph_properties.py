"""What holds for every graph."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import assume, given
from hypothesis import strategies as st

from vecmigrate.errors import RevisionError
from vecmigrate.revisions.graph import RevisionGraph


@dataclass(frozen=True)
class Node:
    revision: str
    down_revision: tuple[str, ...]
    depends_on: tuple[str, ...]
    branch_labels: tuple[str, ...] = ()


@st.composite
def histories(draw: st.DrawFn) -> list[Node]:
    """Up to twelve revisions, each standing on some before it; ids do not tell the order."""
    size = draw(st.integers(1, 12))
    names = draw(st.permutations([f"r{i:02}" for i in range(size)]))
    nodes = []
    for index, name in enumerate(names):
        before = names[:index]
        some = st.lists(st.sampled_from(before), unique=True, max_size=2) if before else st.just([])
        nodes.append(Node(name, tuple(draw(some)), tuple(draw(some))))
    return nodes


def applied_states(draw: st.DrawFn, graph: RevisionGraph) -> set[str]:
    """Something that upgrades can lead to: whatever is applied, what it stands on is too."""
    chosen = draw(st.sets(st.sampled_from(graph.topological())))
    return chosen | graph.ancestors(*chosen)


def below(nodes: list[Node]) -> dict[str, set[str]]:
    """Everything that each revision stands on, found the slow way."""
    direct = {node.revision: {*node.down_revision, *node.depends_on} for node in nodes}
    found = {}
    for revision in direct:
        reached: set[str] = set()
        while more := {lower for item in {revision, *reached} for lower in direct[item]} - reached:
            reached |= more
        found[revision] = reached
    return found


@given(histories(), st.randoms(use_true_random=False))
def test_topological_puts_everything_after_what_it_stands_on(nodes, random):
    graph = RevisionGraph.from_nodes(nodes)
    order = graph.topological()
    assert sorted(order) == sorted(node.revision for node in nodes)
    for revision, lower in below(nodes).items():
        assert all(order.index(item) < order.index(revision) for item in lower)
    shuffled = list(nodes)
    random.shuffle(shuffled)
    assert RevisionGraph.from_nodes(shuffled).topological() == order


@given(histories())
def test_ancestors_and_descendants_are_two_views_of_one_relation(nodes):
    graph = RevisionGraph.from_nodes(nodes)
    for revision, lower in below(nodes).items():
        assert graph.ancestors(revision) == lower
        assert all(revision in graph.descendants(item) for item in lower)


@given(histories(), st.data())
def test_an_upgrade_keeps_every_step_complete_and_reaches_its_target(nodes, data):
    graph = RevisionGraph.from_nodes(nodes)
    applied = applied_states(data.draw, graph)
    target = data.draw(st.sampled_from(graph.topological()))
    lower = below(nodes)
    done = set(applied)
    for revision in graph.upgrade_path(applied, target):
        assert revision not in done
        assert lower[revision] <= done
        done.add(revision)
    assert done == applied | {target} | lower[target]
    assert graph.upgrade_path(done, target) == []


@given(histories(), st.data())
def test_a_downgrade_never_pulls_a_revision_from_under_another(nodes, data):
    graph = RevisionGraph.from_nodes(nodes)
    applied = applied_states(data.draw, graph)
    target = data.draw(st.sampled_from([*sorted(applied), "base"]))
    lower = below(nodes)
    left = set(applied)
    for revision in graph.downgrade_path(applied, target):
        left.remove(revision)
        assert not any(revision in lower[other] for other in left)
    if target == "base":
        assert left == set()
    else:
        assert target in left
        assert left == {item for item in applied if target not in lower[item]}


@given(histories(), st.data())
def test_current_is_an_antichain_that_spans_what_is_applied(nodes, data):
    graph = RevisionGraph.from_nodes(nodes)
    applied = applied_states(data.draw, graph)
    current = graph.current(applied)
    lower = below(nodes)
    assert not any(one in lower[other] for one in current for other in current)
    assert set(current) | graph.ancestors(*current) == applied


@given(histories(), st.data(), st.integers(1, 3))
def test_steps_down_take_what_is_on_top_or_refuse_to_choose(nodes, data, steps):
    graph = RevisionGraph.from_nodes(nodes)
    applied = applied_states(data.draw, graph)
    left = set(applied)
    expected = []
    for _ in range(steps):
        on_top = graph.current(left)
        if len(on_top) != 1:
            expected = None
            break
        expected.append(on_top[0])
        left.remove(on_top[0])
    try:
        found = graph.downgrade_path(applied, f"-{steps}")
    except RevisionError:
        found = None
    assert found == expected


@given(histories(), st.data())
def test_every_unique_prefix_names_its_revision(nodes, data):
    graph = RevisionGraph.from_nodes(nodes)
    revision = data.draw(st.sampled_from(graph.topological()))
    prefix = revision[: data.draw(st.integers(1, len(revision)))]
    matches = [item for item in graph.topological() if item.startswith(prefix)]
    if len(matches) == 1:
        assert graph.resolve(prefix) == (revision,)
    else:
        try:
            graph.resolve(prefix)
        except RevisionError as error:
            assert all(match in str(error) for match in matches)
        else:
            raise AssertionError("an ambiguous prefix resolved")


@given(histories(), st.text(alphabet="r01@+-:headsbcurn ", max_size=12), st.data())
def test_no_identifier_raises_anything_else(nodes, identifier, data):
    graph = RevisionGraph.from_nodes(nodes)
    applied = applied_states(data.draw, graph)
    for call in (graph.resolve, graph.history):
        try:
            found = call(identifier, applied)
        except RevisionError:
            continue
        assert set(found) <= set(graph.topological())
    for path in (graph.upgrade_path, graph.downgrade_path):
        try:
            found = path(applied, identifier)
        except RevisionError:
            continue
        assert len(set(found)) == len(found)


@given(histories(), st.data())
def test_a_circle_is_always_found(nodes, data):
    graph = RevisionGraph.from_nodes(nodes)
    lower = below(nodes)
    pairs = [(low, high) for high, items in lower.items() for low in sorted(items)]
    assume(pairs)
    low, high = data.draw(st.sampled_from(pairs))
    broken = [
        Node(node.revision, node.down_revision, (*node.depends_on, high)) if node.revision == low else node
        for node in nodes
    ]
    try:
        RevisionGraph.from_nodes(broken)
    except RevisionError as error:
        assert "circle" in str(error)
    else:
        raise AssertionError("a circle went unnoticed")
    assert graph.topological()
