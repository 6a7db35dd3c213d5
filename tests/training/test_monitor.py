from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.errors import UsageError
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.training.findings import Decision, Effects, Finding, MonitorState, standing
from sfumato.training.monitor import Monitor, MonitorConfig, ladder
from sfumato.training.probes import Probes
from sfumato.training.rules import ACTIONS, BY_NAME, RULES, Rule
from sfumato.training.signals import SIGNALS
from support import pattern, shapes

SIDE = 64


# --- looks as numbers

HEALTHY = {
    "broken": 0.0,
    "diversity": 0.7,
    "response": 0.5,
    "rank": 0.95,
    "style_sensitivity": 0.5,
    "dependence": 0.6,
    "recognition": 1.0,
    "change": 0.8,
    "colour_inversion": 0.3,
    "checkerboard": 0.3,
    "blobs": 0.6,
    "real_accuracy": 0.75,
    "fake_accuracy": 0.75,
    "sign_balance": 0.5,
    "logit_variance": 0.8,
    "adversarial_gradient": 0.02,
    "loss": 3.0,
    "discriminator_loss": 1.6,
    "generator_gradient": 2.0,
    "weight_size": 20.0,
    "discriminator_gradient": 1.0,
}
PROBED = {name for name, signal in SIGNALS.items() if signal.group == "pictures"}


def healthy(rng: Any) -> Any:
    """A look at a training that is well: every signal moves by about a seventh, gradients and losses by more."""
    signals = {}
    for name, value in HEALTHY.items():
        noise = rng.lognormal(0, 0.02 if name == "weight_size" else 0.5 if SIGNALS[name].logarithmic else 0.15)
        signals[name] = value * noise
    for name in ("recognition", "real_accuracy", "fake_accuracy", "sign_balance", "dependence"):
        signals[name] = min(signals[name], 1.0)
    return signals


def observe(monitor: Any, several: Any, first: int = 0, every: int = 10, decide: bool = True) -> Any:
    """Shows the monitor looks; the names of what stood after each, and the decisions."""
    stood, decisions = [], []
    for i, signals in enumerate(several):
        stood.append([finding.rule for finding in monitor.see(first + every * i, signals)])
        if decide and (decision := monitor.decide()):
            decisions.append(decision)
    return stood, decisions


def ill(count: int = 20, **changes: Any) -> Any:
    return [{**HEALTHY, **changes}] * count


def well(count: int = 20) -> Any:
    return [HEALTHY] * count


@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_training_raises_no_alarm(seed: int) -> None:
    """Step reports at every look, probes at every fifth; the discriminator joins after 40."""
    rng, monitor = np.random.default_rng(seed), Monitor()
    alone = {"loss", "generator_gradient"}
    for i in range(200):
        signals = {name: value for name, value in healthy(rng).items() if i % 5 == 0 or name not in PROBED}
        if i == 40:
            monitor.begin_phase()
        if i < 40:
            signals = {name: value for name, value in signals.items() if name in alone | PROBED}
        assert monitor.see(10 * i, signals) == []
        assert monitor.decide() is None
    assert monitor.state.ended == ()
    assert monitor.effects == Effects()


ILL = {
    "not_finite": {"loss": math.nan},
    "divergence": {"generator_gradient": 2.0 * 60},
    "steps_too_large": {},  # below
    "constant_output": {"diversity": 0.01, "style_sensitivity": 0.01, "response": 0.01, "recognition": 0.5},
    "ignores_the_photo": {"diversity": 0.02, "response": 0.01, "dependence": 0.0, "recognition": 0.5},
    "one_style": {"style_sensitivity": 0.01},
    "dead_discriminator": {"real_accuracy": 1.0, "fake_accuracy": 0.0, "logit_variance": 1e-9},
    "discriminator_wins": {"real_accuracy": 0.99, "fake_accuracy": 0.98, "adversarial_gradient": 0.0004},
    "overfitting": {"sign_balance": 0.9},
    "colour_inversion": {"colour_inversion": 2.8},
    "identity_output": {"change": 0.02},
    "checkerboard": {"checkerboard": 4.0},
    "blobs": {"blobs": 3.0},
    "low_diversity": {"diversity": 0.25},
    "diversity_falls": {},
}
OTHERS = {
    "divergence": ({"loss": 200.0}, {"loss": -200.0}, {"discriminator_gradient": 90.0}),
    "ignores_the_photo": ({"dependence": 0.1, "recognition": 0.55},),
    "dead_discriminator": ({"real_accuracy": 0.5, "fake_accuracy": 0.5, "discriminator_gradient": 0.0},),
    "not_finite": ({"generator_gradient": math.inf}, {"broken": 0.01}),
    "low_diversity": ({"rank": 0.1},),
}
CASES = [(name, changes) for name, first in ILL.items() for changes in (first, *OTHERS.get(name, ())) if changes]


def test_every_rule_has_a_case() -> None:
    assert list(ILL) == [rule.name for rule in RULES]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_failure_is_found_after_enough_evidence_and_ends_when_it_is_over(name: Any, changes: Any) -> None:
    monitor, rule = Monitor(), BY_NAME[name]
    observe(monitor, well())
    stood, _ = observe(monitor, ill(20, **changes), 1000, decide=False)
    assert [found == [name] for found in stood] == [False] * (rule.min_evidence - 1) + [True] * (21 - rule.min_evidence)
    (finding,) = monitor.findings
    assert (finding.since, finding.detected, finding.last) == (1000, 1000 + 10 * (rule.min_evidence - 1), 1190)
    assert finding.ended is None
    stood, _ = observe(monitor, well(), 2000, decide=False)
    assert [bool(found) for found in stood] == [True] * (rule.min_evidence - 1) + [False] * (21 - rule.min_evidence)
    healed = [finding for finding in monitor.all_findings if finding.rule == name]
    assert [finding.ended for finding in healed] == [2000 + 10 * (rule.min_evidence - 1)]


@pytest.mark.parametrize(("name", "changes"), [case for case in CASES if BY_NAME[case[0]].min_evidence > 1])
def test_one_bad_observation_among_good_ones_is_no_finding_and_one_good_one_does_not_heal(
    name: Any, changes: Any
) -> None:
    monitor = Monitor()
    observe(monitor, well())
    stood, decisions = observe(monitor, [*well(3), *ill(1, **changes)] * 10, 1000)
    assert not any(stood)
    assert not decisions
    observe(monitor, ill(12, **changes), 2000, decide=False)
    stood, _ = observe(monitor, [*well(1), *ill(3, **changes)] * 10, 3000, decide=False)
    assert all(found == [name] for found in stood)


def test_between_alarm_and_healed_nothing_changes() -> None:
    monitor = Monitor()
    observe(monitor, [*well(), *ill(2, checkerboard=2.5), *ill(50, checkerboard=1.8)])
    assert monitor.findings == []
    observe(monitor, [*ill(1, checkerboard=2.5), *ill(50, checkerboard=1.8)], 1000)
    assert [finding.rule for finding in monitor.findings] == ["checkerboard"]


def test_what_is_young_is_judged_leniently_but_not_what_overflowed() -> None:
    monitor = Monitor(MonitorConfig(warmup=10))
    stood, _ = observe(monitor, ill(6, style_sensitivity=0.01), decide=False)
    assert [bool(found) for found in stood] == [False] * 5 + [True]
    assert Monitor(MonitorConfig(warmup=10)).see(1, {"loss": math.nan})[0].rule == "not_finite"
    monitor = Monitor(MonitorConfig(warmup=0))
    stood, _ = observe(monitor, ill(4, style_sensitivity=0.01), decide=False)
    assert [bool(found) for found in stood] == [False, False, True, True]


def test_a_new_phase_makes_young_again_and_forgets_sizes() -> None:
    monitor = Monitor()
    observe(monitor, well())
    monitor.begin_phase()
    stood, _ = observe(monitor, ill(20, loss=3.0 * 80), 1000)  # another sum: its own usual size
    assert not any(stood)
    stood, _ = observe(monitor, ill(4, style_sensitivity=0.01), 2000)
    assert any(stood)
    monitor.begin_phase()
    stood, _ = observe(monitor, well(6), 3000)
    stood, _ = observe(monitor, ill(6, loss=3.0 * 80), 4000)
    assert "divergence" in stood[-1]


def test_diversity_that_falls_five_times_in_a_row_is_told_before_it_is_gone() -> None:
    values = [0.7, 0.62, 0.56, 0.5, 0.46, 0.42, 0.38, 0.34]
    stood, _ = observe(Monitor(), [*well(10), *({**HEALTHY, "diversity": v} for v in values)])
    assert [found == ["diversity_falls"] for found in stood] == [False] * 15 + [True] * 3
    saw = [0.44, 0.42, 0.43, 0.41, 0.40, 0.405, 0.39, 0.38, 0.385]  # as low, but up and down
    stood, _ = observe(Monitor(), [*well(10), *({**HEALTHY, "diversity": v} for v in saw)])
    assert not any(stood)
    high = np.linspace(0.9, 0.6, 12)  # falls, but is nowhere near collapse
    stood, _ = observe(Monitor(), [*well(10), *({**HEALTHY, "diversity": v} for v in high)])
    assert not any(stood)


def test_weights_that_leap_are_told_and_weights_that_grow_are_not() -> None:
    slow = [{"weight_size": 20 * 1.05**i} for i in range(60)]
    assert not any(observe(Monitor(), slow)[0])
    stood, decisions = observe(Monitor(), [{"weight_size": size} for size in (20, 20, 28, 45, 70, 90)])
    assert stood == [[], [], [], [], ["steps_too_large"], ["steps_too_large"]]
    assert [d.actions for d in decisions] == [("lower_learning_rate",)]
    stood, _ = observe(Monitor(), [{"weight_size": size} for size in (20, 28, 45, 70, 90, *[91] * 20)])
    assert stood[-1] == []


def test_what_diverged_does_not_become_usual_and_a_revival_is_no_divergence() -> None:
    monitor = Monitor(MonitorConfig(actions=()))
    observe(monitor, well())
    stood, _ = observe(monitor, ill(300, loss=3000.0), 1000)
    assert all("divergence" in found for found in stood[1:])
    # A hinge discriminator that had won has no gradient; that it gets one again is good.
    monitor = Monitor()
    stood, _ = observe(monitor, [*well(60), *ill(60, discriminator_gradient=1e-5), *well(60)])
    assert not any("divergence" in found for found in stood)


def test_a_discriminator_that_is_only_good_is_left_alone() -> None:
    """Always right, but the generator still learns from it; and one that is unsure, but of many opinions."""
    stood, _ = observe(Monitor(), [*well(), *ill(50, real_accuracy=0.99, fake_accuracy=0.99)])
    assert not any(stood)
    stood, _ = observe(Monitor(), [*well(), *ill(50, real_accuracy=0.5, fake_accuracy=0.5)])
    assert not any(stood)


def test_logits_of_discriminators_that_learn_win_and_die() -> None:
    """Series of means and deviations of logits on real and fake patches, drawn as such."""
    rng = np.random.default_rng(0)

    def signals_of(gap: Any, deviation: Any, gradient: Any) -> Any:
        real, fake = rng.normal(gap, deviation, 500), rng.normal(-gap, deviation, 500)
        return {
            "real_accuracy": float((real > 0).mean()),
            "fake_accuracy": float((fake <= 0).mean()),
            "sign_balance": float(np.sign(real).mean()),
            "logit_variance": float(np.concatenate([real, fake]).var()),
            "adversarial_gradient": gradient * rng.lognormal(0, 0.3),
            "discriminator_gradient": rng.lognormal(0, 0.3),
        }

    learns = [signals_of(0.4 + 0.2 * math.sin(i / 7), 0.8, 0.02) for i in range(100)]
    stood, _ = observe(Monitor(), learns)
    assert not any(stood)
    wins = [signals_of(0.5 + 0.05 * i, 0.6, 0.02 * 0.85**i) for i in range(60)]
    stood, decisions = observe(Monitor(), learns + wins, decide=True)
    assert "discriminator_wins" in stood[-1]
    assert "overfitting" not in stood[-1]  # hidden: it is another side
    about_it = [d for d in decisions if d.rule == "discriminator_wins"]
    assert about_it[0].actions == ("raise_gamma",)
    few = [signals_of(1.2, 0.8, 0.02) for _ in range(40)]  # sure about the real ones, wide of vanishing gradients
    stood, _ = observe(Monitor(), learns + few)
    assert stood[-1] == ["overfitting"]
    dies = [signals_of(0.0, 1e-5, 0.02) for _ in range(30)]
    stood, _ = observe(Monitor(), learns + dies, decide=False)
    assert stood[-1] == ["dead_discriminator"]


def test_without_styles_an_output_that_ignores_its_input_is_a_constant() -> None:
    """Of photos or of noise alike: nothing else could change it."""
    looks_alike = {"broken": 0.0, "diversity": 0.01, "response": 0.01, "rank": 0.3}
    stood, _ = observe(Monitor(), [looks_alike] * 10, decide=False)
    assert stood[-1] == ["constant_output"]


def test_a_graver_finding_hides_its_other_sides_and_is_answered_first() -> None:
    monitor = Monitor()
    observe(monitor, well())
    collapsed = {**ILL["constant_output"], "style_sensitivity": 0.01, "blobs": 3.0, "rank": 0.05}
    stood, decisions = observe(monitor, ill(8, **collapsed), 1000)
    assert stood[-1] == ["constant_output", "blobs"]
    assert {decision.rule for decision in decisions} == {"constant_output"}
    assert {"one_style", "ignores_the_photo", "low_diversity"} <= {finding.rule for finding in monitor.state.open}


def test_an_observation_without_a_rule_s_signals_does_not_count() -> None:
    monitor = Monitor()
    observe(monitor, well())
    observe(monitor, ill(2, style_sensitivity=0.01), 1000)
    steps_only = {name: value for name, value in HEALTHY.items() if name not in PROBED}
    before = monitor.state.progress["one_style"]
    observe(monitor, [steps_only] * 30, 1100)
    assert monitor.state.progress["one_style"] == before
    assert observe(monitor, ill(1, style_sensitivity=0.01), 2000)[0] == [["one_style"]]
    assert monitor.see(2010, {"unheard_of": 3.0})[0].rule == "one_style"


# --- decisions


def test_answers_grow_from_mild_to_going_back_to_a_stop_with_a_verdict() -> None:
    monitor = Monitor(MonitorConfig(settle=5, settle_steps=0, repairs=4))
    observe(monitor, well())  # steps 0 to 190
    _, decisions = observe(monitor, ill(60, **ILL["constant_output"]), 200)
    back = ("roll_back", "lower_learning_rate")
    assert [d.actions for d in decisions] == [("raise_gamma",), back, back, back, ("stop",)]
    assert [d.attempt for d in decisions] == [1, 2, 3, 4, 5]
    assert [d.step for d in decisions] == [220, 270, 320, 370, 420]  # found at the third look, then each given time
    assert [d.healthy_step for d in decisions] == [None, 190, 190, 190, None]
    assert monitor.effects == Effects(learning_rate=0.125, gamma=2.0)
    verdict = decisions[-1].reason
    assert monitor.state.verdict == verdict
    for part in ("Stopped at step 420", "one picture", "since step 200", "4 repairs have not solved", "more pictures"):
        assert part in verdict
    assert observe(monitor, ill(60, **ILL["one_style"]), 1000)[1] == []  # it is over


def test_an_action_is_given_observations_and_steps_to_show_effect_but_a_run_that_went_back_counts_from_there() -> None:
    monitor = Monitor(MonitorConfig(settle=3, settle_steps=150))
    observe(monitor, well())
    _, decisions = observe(monitor, ill(42, style_sensitivity=0.01), 1000)
    assert [d.step for d in decisions] == [1020, 1170, 1320]
    assert "roll_back" in decisions[-1].actions
    _, decisions = observe(monitor, ill(10, style_sensitivity=0.01), 200)  # the trainer took the step's number back too
    assert [d.step for d in decisions] == [200]


def test_every_decision_says_what_was_seen_since_when_and_what_was_done() -> None:
    monitor = Monitor()
    observe(monitor, well())
    _, (first, *_) = observe(monitor, ill(10, blobs=3.25), 200)
    for part in ("round spots", "since step 200", "Blobs 3.25", "gradient penalty was doubled", "attempt 1"):
        assert part in first.reason
    assert monitor.state.decisions == (first,)


def test_a_bad_observation_among_good_ones_after_an_answer_is_not_answered_again() -> None:
    monitor = Monitor(MonitorConfig(settle=1, settle_steps=0))
    observe(monitor, [*well(), *ill(3, style_sensitivity=0.01)])
    assert len(monitor.state.decisions) == 1
    observe(monitor, [*well(2), *ill(1, style_sensitivity=0.01), *well(2)], 1000)
    assert len(monitor.state.decisions) == 1


def test_a_light_finding_is_answered_mildly_and_never_stops_a_run() -> None:
    monitor = Monitor()
    observe(monitor, well())
    _, decisions = observe(monitor, ill(300, sign_balance=0.95), 1000)
    assert [d.actions for d in decisions] == [("raise_augmentation",)] * 3 + [("raise_gamma",)]
    assert (monitor.effects.gamma, monitor.effects.learning_rate) == (2.0, 1.0)
    assert monitor.effects.augmentation == pytest.approx(0.3)
    _, decisions = observe(monitor, ill(300, change=0.01, sign_balance=0.95), 5000)
    assert decisions == []
    assert not monitor.state.verdict


def test_a_finding_that_heals_stops_the_ladder_and_one_that_comes_back_goes_on_with_it() -> None:
    monitor = Monitor(MonitorConfig(forget=30))
    observe(monitor, well())
    _, (first,) = observe(monitor, ill(5, style_sensitivity=0.01), 1000)
    assert observe(monitor, well(10), 2000)[1] == []
    _, (second,) = observe(monitor, ill(5, style_sensitivity=0.01), 3000)
    assert (first.attempt, second.attempt) == (1, 2)
    observe(monitor, well(40), 4000)
    _, (third,) = observe(monitor, ill(5, style_sensitivity=0.01), 5000)
    assert third.attempt == 1


def test_batches_that_are_not_finite_are_left_out_at_once_and_too_many_lead_back() -> None:
    monitor = Monitor()
    observe(monitor, well())
    _, decisions = observe(monitor, [{"loss": math.nan}] * 6, 200, every=1)
    back = ("roll_back", "lower_learning_rate")
    assert [d.actions for d in decisions] == [*[("skip_batch",)] * 3, back, ("stop",)]
    assert decisions[3].healthy_step == 190
    # Now and then one is no reason for more than to leave it out.
    monitor = Monitor()
    observe(monitor, well())
    _, decisions = observe(monitor, [*[{"loss": math.nan}], *well(60)] * 5, 200)
    assert [d.actions for d in decisions] == [("skip_batch",)] * 5
    assert monitor.findings == []


def test_the_run_goes_back_to_before_anything_was_seen_of_it() -> None:
    """Probes are looked at seldom: steps that only the step's own reports found healthy are not healthy."""
    monitor = Monitor()
    steps_only = {name: value for name, value in HEALTHY.items() if name not in PROBED}
    decisions = []
    for step in range(0, 6000, 10):
        signals = steps_only
        if step % 200 == 0:
            signals = HEALTHY if step <= 2000 else {**HEALTHY, **ILL["one_style"]}
        monitor.see(step, signals)
        decisions += [decision] if (decision := monitor.decide()) else []
    assert [d.healthy_step for d in decisions if "roll_back" in d.actions] == [2000] * 3


def test_where_nothing_was_ever_healthy_the_run_does_not_go_back() -> None:
    _, decisions = observe(Monitor(), ill(120, style_sensitivity=0.01))
    assert not any("roll_back" in decision.actions for decision in decisions)
    assert decisions[-1].actions == ("stop",)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("left_out", ACTIONS)
def test_actions_that_the_config_does_not_allow_are_not_taken(rule: Any, left_out: Any) -> None:
    allowed = MonitorConfig(actions=tuple(action for action in ACTIONS if action != left_out))
    all_of_them, fewer = ladder(rule, MonitorConfig()), ladder(rule, allowed)
    assert not any(left_out in rung for rung in fewer)
    without = [tuple(action for action in rung if action != left_out) for rung in all_of_them]
    assert fewer == [rung for rung in without if rung] or rule.grave
    assert ladder(rule, MonitorConfig(actions=())) == []


def test_a_monitor_that_may_do_nothing_still_tells() -> None:
    monitor = Monitor(MonitorConfig(actions=()))
    observe(monitor, well())
    stood, decisions = observe(monitor, ill(60, **ILL["constant_output"]), 1000)
    assert stood[-1] == ["constant_output"]
    assert decisions == []


def test_rules_can_be_ignored_and_only_those_that_there_are() -> None:
    monitor = Monitor(MonitorConfig(ignore=("blobs",)))
    assert not any(observe(monitor, [*well(), *ill(30, blobs=5.0)])[0])
    with pytest.raises(UsageError, match="no rule 'blops'"):
        MonitorConfig(ignore=("blops",))
    with pytest.raises(UsageError, match="actions"):
        MonitorConfig(actions=("pray",))  # type: ignore[arg-type]


def test_a_resumed_run_decides_as_an_unbroken_one() -> None:
    rng = np.random.default_rng(3)
    course = [healthy(rng) for _ in range(30)]
    course += [{**healthy(rng), **ILL["constant_output"]} for _ in range(12)]
    course += [{**healthy(rng), "loss": 900.0 if i < 15 else math.nan} for i in range(30)]
    course += [healthy(rng) for _ in range(30)]
    unbroken, broken = Monitor(), Monitor()
    both = []
    for i, signals in enumerate(course):
        if i % 7 == 0:
            saved = json.dumps(broken.state.model_dump(), allow_nan=False)
            broken = Monitor(state=MonitorState.parse(json.loads(saved)))
        seen = [(m.see(10 * i, signals), m.decide()) for m in (unbroken, broken)]
        assert seen[0] == seen[1]
        both.append(seen[0])
    assert unbroken.state == broken.state
    assert any(decision for _, decision in both)
    assert len({finding.rule for found, _ in both for finding in found}) > 2


def test_state_of_rules_that_there_are_no_more_is_left_behind() -> None:
    old = Finding(rule="gone", since=1, detected=2, last=3)
    monitor = Monitor(state=MonitorState(open=(old,), ended=(old,), progress={"gone": {}}))  # type: ignore[dict-item]
    assert monitor.see(10, HEALTHY) == []
    assert "gone" not in monitor.state.progress


def test_rules_ask_for_signals_that_are_documented_and_heal_on_the_right_side() -> None:
    derived = {"not_finite", "accuracy", "variety", "diversity_falls"}
    for rule in RULES:
        assert rule.sees
        assert rule.tries
        assert {name for name in rule.hides} <= BY_NAME.keys()
        for bound in (bound for clause in rule.when for bound in clause):
            assert (
                bound.signal.removesuffix("_rise").removesuffix("_left").removesuffix("_growth")
                in SIGNALS.keys() | derived
            )
            assert bound.healed >= bound.limit if bound.side == "below" else bound.healed <= bound.limit
    for name, signal in SIGNALS.items():  # what a rule calls ill is not on the page as healthy
        for rule in RULES:
            for bound in (b for clause in rule.when if len(clause) == 1 for b in clause if b.signal == name):
                edge = signal.low if bound.side == "below" else signal.high
                assert edge is not None
                assert not bound.holds(edge)


def test_of_findings_those_that_stand_come_gravest_first() -> None:
    made = [Finding(rule=name, since=1, detected=1, last=1) for name in ("blobs", "one_style", "divergence")]
    over = Finding(rule="not_finite", since=1, detected=1, last=1, ended=4)
    assert [finding.rule for finding in standing([*made, over])] == ["divergence", "one_style", "blobs"]


def test_a_rule_cannot_tell_without_its_signals() -> None:
    rule = BY_NAME["dead_discriminator"]
    assert isinstance(rule, Rule)
    assert rule.judge({"accuracy": 0.5}) is None
    assert rule.judge({"accuracy": 0.5, "logit_variance": 0.0}) == 1
    assert rule.judge({"accuracy": 0.8, "logit_variance": 0.0}) == -1
    assert rule.judge({"accuracy": 0.5, "logit_variance": 5e-6}) == 0
    assert "0.5" in rule.numbers({"accuracy": 0.5, "logit_variance": 0.0})


# --- probes and monitor together


@pytest.fixture(scope="module")
def vgg() -> Any:
    """The trained one: whether a photo is recognised is its judgement."""
    return VGG19(load_vgg19_weights(), ("relu3_1",))


@pytest.fixture(scope="module")
def scenes() -> Any:
    """Four photos of shapes and four paintings in two colours: (4, 3, 64, 64) each."""
    drawn = [np.stack([draw(seed, SIDE) for seed in range(4)]) for draw in (shapes, pattern)]
    return [torch.from_numpy(x.astype(np.float32) / 255) for x in drawn]


def painter(photos: Any, paintings: Any, kind: Any) -> Any:
    """A synthetic generator that fails in one way; outputs vary a little from look to look, as in training."""
    generator = torch.Generator().manual_seed(0)

    def paint(style: Any) -> Any:
        texture = paintings[style]
        mixed = 0.55 * photos + 0.45 * texture
        if kind == "constant_output":
            mixed = mixed[:1].expand_as(photos) if style == 0 else paint.first  # type: ignore[attr-defined]
        elif kind == "ignores_the_photo":
            mixed = texture[None].expand_as(photos)
        elif kind == "noise for the photo":
            mixed = texture[None] + 0.25 * torch.randn(photos.shape, generator=generator)
        elif kind == "one_style":
            mixed = 0.55 * photos + 0.45 * paintings[0]
        elif kind == "identity_output":
            return photos
        elif kind == "colour_inversion":
            mixed = 1 - photos
            mixed = 0.85 * mixed + 0.15 * texture
        elif kind == "checkerboard":
            grid = (torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2
            mixed = mixed + 0.15 * (grid - 0.5)
        elif kind == "blobs":
            mixed = photos + 0.1 * (texture - 0.5)
            for top, left in ((24, 30), (44, 10), (8, 48)):
                mixed[:, :, top : top + 6, left : left + 6] = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)
        elif kind == "not_finite":
            mixed = mixed * math.nan
        out = (mixed + 0.01 * torch.randn(mixed.shape, generator=generator)).clamp(0, 1)
        if style == 0:
            paint.first = out  # type: ignore[attr-defined]
        return out

    return paint


TASKS = {name: name for name in ("constant_output", "ignores_the_photo", "one_style", "identity_output")}
TASKS |= {name: name for name in ("colour_inversion", "checkerboard", "blobs", "not_finite")}
TASKS |= {"noise for the photo": "ignores_the_photo"}


@pytest.mark.parametrize("kind", ["healthy", *TASKS])
def test_a_generator_that_fails_is_found_by_its_pictures(vgg: Any, scenes: Any, kind: Any) -> None:
    photos, paintings = scenes
    probes = Probes(vgg, photos=photos, paintings=paintings, styles=2)
    paint, monitor = painter(photos, paintings, kind), Monitor(MonitorConfig(warmup=0))
    for step in range(4):
        findings = monitor.see(step, probes.measure(paint))
    found = [finding.rule for finding in findings]
    if kind == "healthy":
        assert found == []
    else:
        assert TASKS[kind] in found
        grave = [name for name in found if BY_NAME[name].grave]
        assert grave in ([], [TASKS[kind]])


def test_decisions_are_made_of_findings_by_name() -> None:
    with pytest.raises(UsageError, match="attempt"):
        Decision(step=1, rule="blobs", actions=("stop",), attempt=0, reason="")
