"""Loss and learning rate."""

from __future__ import annotations

import math

import pytest
import small_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcode.training.losses import head_losses, weigh
from medcode.training.lr_schedule import learning_rate
from medcode.training.optimizer import make_optimizer, put_lr_on_device, set_lr

LOGITS = {"icd": torch.tensor([[0.5, -2.0, 1.0]]), "ccs": torch.tensor([[-1.0]])}
GOLD = {"icd": torch.tensor([[1.0, 0.0, 1.0]]), "ccs": torch.tensor([[0.0]])}


def test_the_loss_is_a_mean_over_labels_and_a_sum_over_heads(recipe):
    losses = head_losses(LOGITS, GOLD, recipe)
    icd = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 3
    assert losses["icd"].tolist() == pytest.approx([icd])
    assert weigh(losses, None).tolist() == pytest.approx([icd + math.log(1 + math.exp(-1))])


def test_heads_are_weighted_but_not_a_single_one(recipe):
    losses, weights = head_losses(LOGITS, GOLD, recipe), {"icd": 0.7, "ccs": 0.3}
    expected = 0.7 * losses["icd"].item() + 0.3 * losses["ccs"].item()
    assert weigh(losses, weights).tolist() == pytest.approx([expected])
    assert weigh({"icd": losses["icd"]}, weights).tolist() == pytest.approx([losses["icd"].item()])


def test_label_smoothing_equals_dcans_code(recipe):
    # The cross entropy of the probabilities with y (1 - a) + a / Y.
    probabilities, smoothed_gold = LOGITS["icd"][0].sigmoid(), GOLD["icd"][0] * 0.9 + 0.1 / 3
    expected = -(smoothed_gold * probabilities.log() + (1 - smoothed_gold) * (1 - probabilities).log()).mean()
    smoothed = head_losses(LOGITS, GOLD, recipe.model_copy(update={"label_smoothing": 0.1}))["icd"]
    assert smoothed.tolist() == pytest.approx([expected.item()])


def test_focal_loss_equals_marns_code(recipe):
    focal = recipe.model_copy(update={"loss": "focal", "focal_alpha": 0.5, "focal_gamma": 3.0})
    p_true = torch.where(GOLD["icd"] == 1, LOGITS["icd"].sigmoid(), 1 - LOGITS["icd"].sigmoid())
    expected = (0.5 * (1 - p_true) ** 3 * -p_true.log()).mean()
    assert head_losses(LOGITS, GOLD, focal)["icd"].tolist() == pytest.approx([expected.item()])
    flat = focal.model_copy(update={"focal_alpha": 1.0, "focal_gamma": 0.0})
    assert head_losses(LOGITS, GOLD, flat)["icd"].item() == pytest.approx(
        head_losses(LOGITS, GOLD, recipe)["icd"].item()
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_extreme_logits_is_finite_gradients_too(recipe, gamma):
    scores = torch.tensor([[200.0, -200.0, 200.0, -200.0]], requires_grad=True)
    focal = recipe.model_copy(update={"loss": "focal", "focal_gamma": gamma})
    loss = head_losses({"icd": scores}, {"icd": torch.tensor([[1.0, 0.0, 0.0, 1.0]])}, focal)["icd"].sum()
    loss.backward()
    assert math.isfinite(loss.item())
    assert scores.grad.isfinite().all()


def _logit(p):
    return math.log(p / (1 - p))


@pytest.mark.parametrize(
    ("p", "y", "expected"), [(0.5, 0, 0.26903), (0.5, 1, 0.69315), (0.03, 0, 0), (0.9, 0, 1.61255)]
)
def test_the_asymmetric_loss_by_hand(recipe, p, y, expected):
    asymmetric = recipe.model_copy(update={"loss": "asymmetric"})  # gamma 1 and 0, clip 0.05
    losses = head_losses({"icd": torch.tensor([[_logit(p)]])}, {"icd": torch.tensor([[float(y)]])}, asymmetric)
    assert losses["icd"].item() == pytest.approx(expected, abs=1e-5)


def test_the_asymmetric_loss_is_a_sum_and_weighs_gold_labels_by_their_own_gamma(recipe):
    changes = {"loss": "asymmetric", "asymmetric_gamma_negative": 2.0, "asymmetric_gamma_positive": 3.0}
    asymmetric = recipe.model_copy(update=changes | {"asymmetric_clip": 0.1})
    logits, gold = torch.tensor([[_logit(0.6), _logit(0.7)]]), torch.tensor([[1.0, 0.0]])
    expected = -(0.4**3) * math.log(0.6) - 0.6**2 * math.log(0.4)
    assert head_losses({"icd": logits}, {"icd": gold}, asymmetric)["icd"].tolist() == pytest.approx([expected])


def test_without_focus_and_clip_the_asymmetric_loss_is_summed_cross_entropy(recipe):
    flat = {"asymmetric_gamma_negative": 0.0, "asymmetric_gamma_positive": 0.0, "asymmetric_clip": 0.0}
    asymmetric = recipe.model_copy(update={"loss": "asymmetric"} | flat)
    summed = 3 * head_losses(LOGITS, GOLD, recipe)["icd"].item()
    assert head_losses(LOGITS, GOLD, asymmetric)["icd"].tolist() == pytest.approx([summed])


def test_no_gradient_flows_through_the_focus_of_the_asymmetric_loss(recipe):
    scores = torch.tensor([[_logit(0.5)]], requires_grad=True)
    asymmetric = recipe.model_copy(update={"loss": "asymmetric"})
    head_losses({"icd": scores}, {"icd": torch.zeros(1, 1)}, asymmetric)["icd"].sum().backward()
    # 0.45 times the derivative of -log(0.55 - x) at 0, times that of the sigmoid, 0.25.
    assert scores.grad.item() == pytest.approx(0.45 / 0.55 * 0.25)


def test_the_asymmetric_loss_of_extreme_logits_is_finite_gradients_too(recipe):
    scores = torch.tensor([[200.0, -200.0, 200.0, -200.0]], requires_grad=True)
    asymmetric = recipe.model_copy(update={"loss": "asymmetric", "asymmetric_clip": 0.0})
    loss = head_losses({"icd": scores}, {"icd": torch.tensor([[1.0, 0.0, 0.0, 1.0]])}, asymmetric)["icd"].sum()
    loss.backward()
    assert loss.item() == pytest.approx(-2 * math.log(1e-8))  # both wrong ones, clamped
    assert scores.grad.isfinite().all()


@settings(max_examples=200)
@given(
    history=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.30001, 0.5, 0.6, float("nan")]), max_size=60),
    rate=st.sampled_from([1e-3, 2e-4, 1e-4, 5e-5]),
    lowest=st.booleans(),
)
def test_the_plateau_schedule_equals_torchs(recipe, history, rate, lowest):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    mode = "min" if lowest else "max"
    minimum = min(rate, 1e-4)  # torch would raise a lower rate to it
    torch_schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.9, patience=5, min_lr=minimum)
    changes = {"schedule": "plateau", "learning_rate": rate, "monitor": "loss" if lowest else "f1_micro"}
    plateau = recipe.model_copy(update=changes)
    for seen, value in enumerate(history):
        assert learning_rate(plateau, 0, 10, history[:seen]) == pytest.approx(optimizer.param_groups[0]["lr"])
        torch_schedule.step(value)


def test_uncoded_documents_add_no_loss(recipe):
    logits = {"icd9": torch.zeros(3, 2), "icd10": torch.zeros(3, 4)}
    gold = {head: torch.zeros_like(x) for head, x in logits.items()}
    coded = {"icd9": torch.tensor([True, False, True]), "icd10": torch.tensor([False, True, True])}
    losses = weigh(head_losses(logits, gold, recipe, coded), None)
    assert losses.tolist() == pytest.approx([math.log(2), math.log(2), 2 * math.log(2)])


@settings(max_examples=30)
@given(coded=st.lists(st.booleans(), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_the_mean_over_a_batch_is_equation_3_of_jams(recipe, coded, seed):
    """(L9 mu + L10 eta) / (mu + eta), with L9 and L10 torch's own means over the documents of one system."""
    torch.manual_seed(seed)
    in_icd9 = torch.tensor(coded)  # whether a document is coded in ICD-9, else in ICD-10
    logits = {"icd9": torch.randn(len(coded), 5), "icd10": torch.randn(len(coded), 3)}
    gold = {head: (torch.rand_like(x) < 0.5).float() for head, x in logits.items()}
    loss = weigh(head_losses(logits, gold, recipe, {"icd9": in_icd9, "icd10": ~in_icd9}), None).mean()
    cross_entropy, total = torch.nn.functional.binary_cross_entropy_with_logits, 0.0
    for head, rows in (("icd9", in_icd9), ("icd10", ~in_icd9)):
        if rows.any():
            total += cross_entropy(logits[head][rows], gold[head][rows]).item() * rows.sum().item()
    assert loss.item() == pytest.approx(total / len(coded), rel=1e-5)


def test_the_linear_schedule_warms_up_and_decays(recipe):
    linear = recipe.model_copy(update={"schedule": "linear", "warmup_steps": 4, "learning_rate": 1.0})
    assert [learning_rate(linear, step, 12) for step in range(12)] == pytest.approx(
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )


def test_the_constant_schedule_keeps_the_rate(recipe):
    assert {learning_rate(recipe, step, 10) for step in range(10)} == {recipe.learning_rate}


def test_static_vectors_are_not_in_the_optimizer(recipe):
    layer = torch.nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    optimizer = make_optimizer(layer, recipe.model_copy(update={"optimizer": "adamw", "weight_decay": 0.1}))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [parameter.shape for parameter in optimizer.param_groups[0]["params"]] == [layer.weight.shape]
    assert optimizer.defaults["weight_decay"] == 0.1


@pytest.mark.parametrize("name", ["adam", "adamw", "radam"])
def test_updates_equal_those_of_torchs_optimizers(recipe, name):
    """One kernel for all parameters, and the learning rate in a tensor, change nothing but the rounding."""
    changed = recipe.model_copy(update={"optimizer": name, "weight_decay": 0.1})
    optimizer_cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "radam": torch.optim.RAdam}[name]
    random, layers = torch.Generator().manual_seed(1), [torch.nn.Linear(30, 20) for _ in range(3)]
    for layer in layers[1:]:
        layer.load_state_dict(layers[0].state_dict())
    eager, capturable = (make_optimizer(layer, changed) for layer in layers[:2])
    put_lr_on_device(capturable)
    reference = optimizer_cls(layers[2].parameters(), lr=1.0, weight_decay=0.1, foreach=False)
    for step in range(20):
        gradients = [torch.randn(shape, generator=random) for shape in ((20, 30), (20,))]
        reference.param_groups[0]["lr"] = rate = 0.01 / (step + 1)
        for layer, optimizer in zip(layers, (eager, capturable, reference), strict=True):
            layer.weight.grad, layer.bias.grad = (gradient.clone() for gradient in gradients)
            if optimizer is not reference:
                set_lr(optimizer, rate)
            optimizer.step()
    assert isinstance(capturable.param_groups[0]["lr"], torch.Tensor)
    for layer in layers[:2]:
        torch.testing.assert_close(layer.weight, layers[2].weight, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(layer.bias, layers[2].bias, rtol=1e-6, atol=1e-7)


def test_epsilon_is_added_to_the_root_of_the_second_moment(recipe):
    """In the first step both moments, corrected, are g and g^2: the weight moves by rate * g / (|g| + epsilon)."""
    gradient, rate = 3e-6, 0.01
    for epsilon, expected in ((1e-6, rate * 3 / 4), (2e-6, rate * 3 / 5), (None, rate * 3 / 3.01)):
        layer = torch.nn.Linear(1, 1, bias=False)
        before = layer.weight.item()
        changes = {"optimizer": "adamw", "learning_rate": rate} | ({"adam_epsilon": epsilon} if epsilon else {})
        optimizer = make_optimizer(layer, recipe.model_copy(update=changes))
        layer.weight.grad = torch.tensor([[gradient]])
        optimizer.step()
        assert before - layer.weight.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["laat", "joint_laat", "plm_icd"])
def test_models_whose_authors_take_the_adamw_of_transformers_have_its_epsilon(name):
    assert small_models.settings(name, "published").recipe.adam_epsilon == 1e-6


def test_encoder_layers_have_decayed_learning_rates(recipe):
    model = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1, bias=False) for name in ("head", "top", "low")})
    changes = {"learning_rate": 0.1, "encoder_learning_rate": 0.02, "layer_decay": 0.5}
    above = {"top.weight": 0, "low.weight": 3}
    optimizer = make_optimizer(model, recipe.model_copy(update=changes), above)
    set_lr(optimizer, 0.05)  # half of the peak
    rates = {id(group["params"][0]): group["lr"] for group in optimizer.param_groups}
    assert rates[id(model["head"].weight)] == optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert rates[id(model["top"].weight)] == pytest.approx(0.01)
    assert rates[id(model["low"].weight)] == pytest.approx(0.01 / 8)
    same = make_optimizer(model, recipe.model_copy(update={"learning_rate": 0.1}), above)
    assert len(same.param_groups) == 1


def test_warm_up_can_be_a_share_of_the_steps(recipe):
    shared = recipe.model_copy(update={"warmup_share": 0.1, "schedule": "linear"})
    stated = recipe.model_copy(update={"warmup_steps": 20, "schedule": "linear"})
    assert [learning_rate(shared, step, 200) for step in range(200)] == [
        learning_rate(stated, step, 200) for step in range(200)
    ]
