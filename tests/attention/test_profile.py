"""Peak memory to the byte, operations counted, rates and floors."""

from itertools import groupby

import pytest
import torch

from qlib.attention.attention import quantum_attention
from qlib.attention.limits.break_even import naive
from qlib.attention.profile import (
    Cost,
    Machine,
    cost_of,
    exact_cost,
    floor_seconds,
    in_turns,
    measure_machine,
    peak_bytes,
    profile,
    profiles,
)


def tensors(n=32, d=8, heads=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 1, heads, n, d, generator=generator).to(dtype)


def steps():
    """Holds 1000, 6000, 5000, 8000, 3000 bytes, and returns 3000."""
    first = torch.empty(1000, dtype=torch.uint8)
    second = torch.empty(5000, dtype=torch.uint8)
    del first
    third = torch.empty(3000, dtype=torch.uint8)
    del second
    return third


def test_the_peak_is_the_most_held_at_a_time_to_the_byte():
    assert peak_bytes(steps) == 8000


def test_what_was_held_before_does_not_count():
    held = [torch.empty(10**6, dtype=torch.uint8)]

    def drops_what_was_there():
        held.clear()
        return torch.empty(77, dtype=torch.uint8)

    assert peak_bytes(drops_what_was_there) == 77


def test_a_result_of_an_earlier_count_does_not_count():
    kept = {}

    def replaces():
        kept["last"] = torch.empty(100, dtype=torch.uint8)

    replaces()
    peak_bytes(replaces)
    assert peak_bytes(replaces) == 100  # made before the old one is let go


def test_a_call_that_allocates_nothing_has_peak_zero():
    assert peak_bytes(lambda: None) == 0


def test_an_error_in_the_call_ends_the_count():
    calls = iter(())
    with pytest.raises(StopIteration):
        peak_bytes(lambda: next(calls))
    assert peak_bytes(steps) == 8000


@pytest.mark.parametrize("n", [256, 512])
def test_naive_attention_holds_its_matrix_and_sdpa_does_not(n):
    q, k, v = tensors(n, heads=1)
    whole = 4 * n * n
    assert whole <= peak_bytes(lambda: naive(q, k, v)) <= 4 * whole
    assert peak_bytes(lambda: quantum_attention(q, k, v)) < whole


def test_what_the_backward_pass_needs_counts():
    q, k, v = tensors(256, heads=1)
    plain = profile("math", q, k, v, repeats=1).peak_bytes
    kept = profile("math", q.clone().requires_grad_(), k, v, repeats=1).peak_bytes
    assert kept >= plain
    assert kept >= 4 * 256 * 256


def test_a_profile_holds_the_least_of_its_repeats():
    found = profile("auto", *tensors(), repeats=3, is_causal=True)
    assert len(found.every) == 3
    assert found.seconds == min(found.every) > 0
    assert found.peak_bytes >= 4 * 2 * 32 * 8


def test_calls_take_turns_after_one_that_does_not_count():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    times = in_turns(calls, 3)
    assert [len(each) for each in times.values()] == [3, 3, 3]
    runs = "".join(name for name, _ in groupby(order))
    assert runs == "abc" * 4  # first calls, then turns
    assert list(profiles(calls, 1)) == list("abc")


@pytest.mark.parametrize("repeats", [0, -1, 2.5, True])
def test_repeats_that_are_none_are_refused(repeats):
    with pytest.raises(ValueError, match="repeats"):
        profile("math", *tensors(), repeats=repeats)


def test_options_reach_the_entry():
    with pytest.raises(ValueError, match="backend"):
        profile("no such", *tensors(), repeats=1)
    with pytest.raises((TypeError, ValueError), match="is_causal"):
        profile("math", *tensors(), repeats=1, is_causal="yes")


# --- cost -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["math", "sdpa"])
def test_counted_operations_of_exact_backends_are_the_closed_form(backend):
    q, k, v = tensors(48)
    assert cost_of(backend, q, k, v) == exact_cost(q, k, v)
    assert exact_cost(q, k, v) == Cost(4 * 2 * 48 * 48 * 8, 4 * 4 * 2 * 48 * 8)


def test_causal_operations_are_those_of_the_pairs_seen():
    q, k, v = tensors(48)
    found = cost_of("sdpa", q, k, v, is_causal=True)
    assert found == exact_cost(q, k, v, is_causal=True)
    assert found.flops == 4 * 2 * (48 * 49 // 2) * 8


def test_more_queries_than_keys_see_all_keys_at_the_end():
    q, k, v = tensors(10)
    pairs = sum(min(i + 1, 4) for i in range(10))
    found = exact_cost(q, k[:, :, :4], v[:, :, :4, :3], is_causal=True)
    assert found.flops == 2 * 2 * pairs * (8 + 3)
    assert found.num_bytes == 4 * 2 * (10 * 8 + 4 * 8 + 4 * 3 + 10 * 3)


def test_the_floor_is_the_longer_of_computing_and_moving():
    machine = Machine({torch.float32: 1e3}, 10.0, 1)
    assert floor_seconds(Cost(5000, 20), machine, torch.float32) == 5
    assert floor_seconds(Cost(500, 200), machine, torch.float32) == 20


def test_rates_are_measured_for_every_dtype_asked_for():
    dtypes = (torch.float32, torch.float64)
    found = measure_machine(dtypes, size=32, num_bytes=2**16, repeats=1)
    assert list(found.multiplied) == list(dtypes)
    assert min(*found.multiplied.values(), found.moved) > 0
    assert found.threads == torch.get_num_threads()
    with pytest.raises(ValueError, match="num_bytes"):
        measure_machine(dtypes, num_bytes=0)
