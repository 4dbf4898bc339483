"""Initialization of output biases from training frequencies; without the options, weights stay as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import small_models
import torch

from medcode.errors import UserError
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs
from medcode.training.label_init import initialize, start_from_descriptions, start_from_frequencies


def test_without_the_options_weights_and_random_numbers_do_not_change(tiny_inputs, recipe):
    model = small_models.build("caml", heads={"icd": 6})
    weights, state = {key: value.clone() for key, value in model.state_dict().items()}, torch.get_rng_state()
    initialize(model, recipe, tiny_inputs, {})
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_both_options_sample_no_random_number(tiny_inputs, recipe):
    model, state = small_models.build("caml", heads={"icd": 6}), torch.get_rng_state()
    descriptions = {"icd": [np.array([y]) for y in range(1, 7)]}
    options = {"label_init": "descriptions", "label_biases": "log_odds"}
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    initialize(model, recipe.model_copy(update=options), tiny_inputs, descriptions)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, weights[key])}
    assert changed == {f"attention.icd.{name}" for name in ("queries.weight", "output.weight", "output.bias")}
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["caml", "cnn", "laat"])
def test_biases_are_the_log_odds_of_training_frequency(name):
    model = small_models.build(name, heads={"icd": 3})
    start_from_frequencies(model, "icd", np.array([0, 5, 10]), 10)
    layer = model.output["icd"] if name == "cnn" else model.attention["icd"].output
    torch.testing.assert_close(layer.bias, torch.tensor([math.log(0.5 / 10.5), 0.0, math.log(10.5 / 0.5)]))


def test_biases_that_a_model_projects_are_log_odds_once_its_projection_is_set():
    model = small_models.build("gatedcnn_nci", heads={"icd": 3}, trellis_init="identity")
    with pytest.raises(UserError, match="log_odds goes with label_init: descriptions in GatedCnnNci"):
        start_from_frequencies(model, "icd", np.array([0, 5, 10]), 10)
    start_from_descriptions(model, {"icd": [np.array([3, 4]), np.array([5]), np.array([6, 7])]})
    start_from_frequencies(model, "icd", np.array([0, 5, 10]), 10)
    expected = torch.tensor([math.log(0.5 / 10.5), 0.0, math.log(10.5 / 0.5)])
    torch.testing.assert_close(model.interaction["icd"](torch.zeros(1, 8, 1))[0].detach(), expected)


def test_one_output_bias_for_all_labels_is_refused():
    model = small_models.build("plm_ca", heads={"icd": 7})
    with pytest.raises(UserError, match="PlmCa has none with these options; set label_biases: random"):
        start_from_frequencies(model, "icd", np.ones(7), 10)
    start_from_frequencies(small_models.build("plm_ca", heads={"icd": 7}, output="per_label"), "icd", np.ones(7), 10)


def test_a_model_without_output_biases_raises_a_user_error():
    class Other(WordModel):
        def forward(self, tokens, lengths):
            raise NotImplementedError

    model = Other(small_models.options("cnn"), ModelInputs(heads={"icd": 7}, vocab_size=5))
    with pytest.raises(UserError, match=r"label_biases: log_odds is for models .* Other has none"):
        start_from_frequencies(model, "icd", np.ones(7), 10)
