"""Which methods are measured for a model."""

from __future__ import annotations

import pytest
from note_models import any_model
from small_models import every_model

from medcode.errors import UserError
from medcode.evidence.attributions import methods_of
from medcode.evidence.measurement import SLOW, chosen_methods
from medcode.evidence.results import RANDOM


@every_model
def test_without_names_a_model_is_measured_by_its_methods_of_few_passes_if_it_has_any(name):
    trained = any_model(name)
    quick = [method for method in methods_of(trained.model) if method not in SLOW]
    assert chosen_methods(trained, []) == [*(quick or ["occlusion"]), RANDOM]


def test_named_methods_are_those_that_work_in_the_order_of_their_names():
    trained = any_model("cnn")
    names = ["occlusion", "label_attention", "gradient_x_input", "occlusion"]
    assert chosen_methods(trained, names) == ["occlusion", "gradient_x_input", RANDOM]
    with pytest.raises(UserError, match=r"^method: exact does not work for this model, it is not linear"):
        chosen_methods(trained, ["exact"])
