"""Graphs of swarms: degrees, symmetry, and the law of the random one."""

import pytest
import torch
from scipy.stats import binomtest, chisquare

from qlib.optim.topology import TOPOLOGIES, neighbours

FALSE_ALARM = 1e-4
# rows, columns of the most nearly square grid; primes are rings
GRIDS = {1: (1, 1), 2: (1, 2), 4: (2, 2), 6: (2, 3), 7: (1, 7), 8: (2, 4), 9: (3, 3)}
GRIDS |= {12: (3, 4), 13: (1, 13), 15: (3, 5), 16: (4, 4), 18: (3, 6), 36: (6, 6)}


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_neighbourhood_is_mutual_and_nobody_is_his_own_neighbour(topology):
    for num_agents in range(1, 41):
        tied = neighbours(topology, num_agents, _generator())
        assert tied.shape == (num_agents, num_agents)
        assert tied.dtype == torch.bool
        assert torch.equal(tied, tied.T)
        assert not tied.diagonal().any()


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_graph_but_the_random_one_is_connected_and_regular(topology):
    for num_agents in range(2, 41):
        tied = neighbours(topology, num_agents, _generator()).double()
        degree = tied.sum(dim=1)
        if topology == "random":
            assert degree.min() >= 1
            continue
        assert degree.unique().numel() == 1
        laplacian = torch.diag(degree) - tied
        assert torch.linalg.eigvalsh(laplacian)[1] > 1e-3  # of a ring: 2 - 2cos(2π/N)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_one_agent_has_no_neighbours_and_two_have_each_other(topology):
    assert neighbours(topology, 1).tolist() == [[False]]
    pair = neighbours(topology, 2, _generator())
    assert pair.tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("num_agents", [3, 4, 5, 17, 40])
def test_degrees_of_the_complete_graph_and_the_ring(num_agents):
    complete = neighbours("complete", num_agents).sum(dim=1)
    assert complete.tolist() == [num_agents - 1] * num_agents
    ring = neighbours("ring", num_agents)
    for agent in range(num_agents):
        around = sorted({(agent - 1) % num_agents, (agent + 1) % num_agents})
        assert ring[agent].nonzero().flatten().tolist() == around


@pytest.mark.parametrize("shape", GRIDS.values(), ids=str)
def test_grid_ties_those_one_step_apart_on_the_torus(shape):
    rows, columns = shape

    def steps(first, second):
        down = abs(first // columns - second // columns)
        along = abs(first % columns - second % columns)
        return min(down, rows - down) + min(along, columns - along)

    agents = range(rows * columns)
    apart = [[steps(first, second) == 1 for second in agents] for first in agents]
    assert neighbours("grid", rows * columns).tolist() == apart


def test_grid_of_six_is_two_rows_of_three():
    edges = neighbours("grid", 6).triu().nonzero().tolist()
    within_rows = [[0, 1], [0, 2], [1, 2], [3, 4], [3, 5], [4, 5]]
    assert edges == sorted([*within_rows, [0, 3], [1, 4], [2, 5]])


def test_grid_of_a_prime_is_a_ring():
    for prime in (2, 3, 5, 7, 31):
        assert torch.equal(neighbours("grid", prime), neighbours("ring", prime))


def test_nobody_is_alone_in_a_random_graph():
    for num_agents in range(2, 41):
        for seed in range(50):
            tied = neighbours("random", num_agents, _generator(seed))
            assert tied.any(dim=1).all()


def test_random_graph_has_half_of_all_edges():
    """Lone agents, tied afterwards, are expected 40·2⁻³⁹ times in a graph of 40."""
    graphs, pairs = 50, 40 * 39 // 2
    edges = sum(
        int(neighbours("random", 40, _generator(seed)).sum()) // 2
        for seed in range(graphs)
    )
    interval = binomtest(edges, graphs * pairs).proportion_ci(1 - FALSE_ALARM)
    assert interval.low <= 0.5 <= interval.high


def test_random_graphs_of_three_occur_as_often_as_enumeration_says():
    """Of the 8 graphs of G(3, 1/2): one triangle, three paths, three single edges
    that become paths about one of their ends, and the empty one, where agent 0 is
    tied first and the agent still alone next.
    """
    generator, graphs = _generator(1), 4000
    seen = dict.fromkeys(["centre 0", "centre 1", "centre 2", "triangle"], 0)
    for _ in range(graphs):
        degree = neighbours("random", 3, generator).sum(dim=1).tolist()
        seen["triangle" if sum(degree) == 6 else f"centre {degree.index(2)}"] += 1
    expected = [graphs * share for share in (10 / 32, 9 / 32, 9 / 32, 4 / 32)]
    assert chisquare(list(seen.values()), expected).pvalue > FALSE_ALARM


def test_random_graph_is_its_generator_s_and_other_graphs_draw_nothing():
    first, second = (neighbours("random", 9, _generator(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, neighbours("random", 9, _generator(6)))
    generator, ambient = _generator(), torch.get_rng_state()
    before = generator.get_state()
    for topology in ("complete", "ring", "grid"):
        neighbours(topology, 9, generator)
    neighbours("random", 1, generator)
    assert torch.equal(generator.get_state(), before)
    assert torch.equal(torch.get_rng_state(), ambient)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("topology", ("star", 4)),
        ("topology", (None, 4)),
        ("topology", (["ring"], 4)),
        ("num_agents", ("ring", 0)),
        ("num_agents", ("ring", 2.5)),
        ("num_agents", ("ring", True)),
        ("generator", ("random", 4)),
        ("generator", ("random", 4, 7)),
    ],
)
def test_wrong_arguments_are_refused_by_name(name, arguments):
    with pytest.raises(ValueError, match=rf"^{name}: got .*; allowed: "):
        neighbours(*arguments)
