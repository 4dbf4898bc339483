"""Selection of the widths that were measured to be faster with kernels."""

from __future__ import annotations

import pytest

from medcode.layers import measurements
from medcode.layers.measurements import Measurement, faster

HOPPER, AMPERE = (9, 0), (8, 0)


def measurement(family, cell, widths, *, gain=True, precision="bf16", capability=HOPPER, replayed=None):
    times = (2.0, 1.0) if gain else (1.0, 2.0)
    return Measurement(family, cell, widths, precision, "a card", capability, "abc123", *times, replayed)


def gru(*widths, **options):
    return [measurement("recurrent networks", "gru", (width,), **options) for width in widths]


def attention(*widths, **options):
    return [measurement("label attention", None, pair, **options) for pair in widths]


@pytest.fixture
def table(monkeypatch):
    return lambda *rows: monkeypatch.setattr(measurements, "MEASURED", tuple(rows))


def fast_gru(width, cell="gru", precision="bf16", capability=HOPPER):
    return faster("recurrent networks", cell, (width,), precision, capability)


def fast_attention(*widths):
    return faster("label attention", None, widths, "bf16", HOPPER)


def test_graph_measurements_apply_to_graphs_only(table):
    table(*gru(300, replayed=True), *gru(300, gain=False, replayed=False), *attention((300, 300)))
    question = "recurrent networks", "gru", (300,), "bf16", HOPPER
    assert faster(*question, True) and not faster(*question, False)
    assert all(faster("label attention", None, (300, 300), "bf16", HOPPER, replayed) for replayed in (False, True))


def test_the_published_widths_are_measured():
    """They are MT-RAM's GRU of 300, its attention of 600, and LAAT's of 256 x 512 and 512 x 1024."""
    assert all(faster("recurrent networks", "gru", (300,), "bf16", HOPPER, replayed) for replayed in (False, True))
    assert all(faster("label attention", None, widths, "bf16", HOPPER) for widths in ((600, 600), (256, 512)))
    assert not faster("recurrent networks", "lstm", (512,), "bf16", HOPPER)  # but cuDNN's is faster than this walk
    assert faster("recurrent networks", "lstm", (512,), "bf16", HOPPER, True)
    assert not faster("label attention", None, (600, 600), "fp32", HOPPER)
    assert not faster("label attention", None, (600, 600), "bf16", AMPERE)


def test_unmeasured_widths_are_not_faster(table):
    table()
    assert not fast_gru(300) and not fast_attention(300, 300)


def test_widths_are_rounded_up_to_multiples_of_64(table):
    table(*gru(300))  # 320
    assert [width for width in range(250, 400) if fast_gru(width)] == list(range(257, 321))


def test_widths_between_two_faster_ones_are_faster(table):
    table(*gru(64, 512))
    assert all(map(fast_gru, (1, 64, 65, 300, 512)))
    assert not fast_gru(513)


def test_a_faster_width_does_not_extend_to_others(table):
    table(*gru(256))
    assert not fast_gru(192) and not fast_gru(257)


def test_a_slower_width_splits_the_range(table):
    table(*gru(64, 128, 512, 640), *gru(256, gain=False))
    assert [width for width in range(64, 705, 64) if fast_gru(width)] == [64, 128, 512, 576, 640]


def test_a_width_measured_both_ways_is_not_faster(table):
    table(*gru(256), *gru(256, gain=False))
    assert not fast_gru(256)


def test_equal_times_are_not_faster(table):
    table(Measurement("recurrent networks", "gru", (64,), "bf16", "a card", HOPPER, "abc123", 1.0, 1.0))
    assert not fast_gru(64)


def test_cells_precisions_and_cards_are_separate(table):
    table(*gru(256))
    assert fast_gru(256)
    assert not fast_gru(256, cell="lstm")
    assert not fast_gru(256, precision="fp32")
    assert not fast_gru(256, capability=AMPERE)
    assert not faster("label attention", None, (256, 256), "bf16", HOPPER)


def test_label_attention_needs_one_pair_of_measurements_around_both_widths(table):
    table(*attention((64, 64), (512, 1024)))
    assert fast_attention(300, 300) and fast_attention(512, 1024) and fast_attention(64, 1024)
    assert not fast_attention(1024, 512) and not fast_attention(513, 600)
    table(*attention((64, 512), (512, 64)))  # neither is below the other
    assert fast_attention(64, 512) and not fast_attention(256, 256)


def test_a_slower_pair_of_widths_splits_the_range(table):
    table(*attention((64, 64), (512, 512)), *attention((256, 256), gain=False))
    assert not any(fast_attention(*widths) for widths in ((256, 256), (128, 128), (300, 300)))
    assert fast_attention(64, 64) and fast_attention(512, 512)
