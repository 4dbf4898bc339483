"""Codes of invented patients: valid, plausible together, compatible with age and sex, without contradictions."""

from __future__ import annotations

import collections
import itertools

import pytest

from medcode import config
from medcode.corpora.synthetic import icd10, knowledge, terminology
from medcode.corpora.synthetic.people import People, profiles
from medcode.corpora.synthetic.terminology import is_procedure, plain
from medcode.corpora.synthetic.world import Admission, World

ADMISSIONS = 2_000


@pytest.fixture(scope="module")
def options(root) -> config.Synthesize:
    return config.load_all(root / "params.yaml").synthesize


@pytest.fixture(scope="module")
def admissions(options) -> list[Admission]:
    world = World(options)
    return [world.admission(k) for k in range(ADMISSIONS)]


def share(admissions: list[Admission], code: str, condition: str = "") -> float:
    selected = [a for a in admissions if not condition or any(c.startswith(condition) for c in a.codes)]
    assert len(selected) > 30
    return sum(code in a.codes for a in selected) / len(selected)


def test_an_admission_does_not_depend_on_the_order_of_sampling(options, admissions):
    world = World(options)
    for k in (1_500, 3, 700, 4, 1_501):
        assert world.admission(k) == admissions[k]


def test_profiles_and_knowledge_name_valid_codes():
    descriptions = terminology.icd9_descriptions()
    assert len(profiles()[0]) >= 40
    mentioned = set(knowledge.concepts()) | set(knowledge.odds()) | set(knowledge.facts("chronic"))
    for profile in profiles()[0]:
        mentioned |= {*profile.principal[0], *(code for code, _ in profile.codes)}
        mentioned |= {code for _, package in profile.packages for code, _ in package}
    assert mentioned <= set(descriptions)
    targets = {target for entry in knowledge.facts("procedures").values() for target in entry["pcs"]}
    assert targets <= set(terminology.icd10_descriptions("icd10pcs"))
    assert sum(len(concept.names) for concept in knowledge.concepts().values()) > 800


def test_comorbidities_go_together(admissions):
    for code, condition, factor in (
        ("428.0", "427.31", 1.3),
        ("V58.61", "427.31", 1.5),
        ("39.61", "36.15", 3),
        ("96.04", "518.81", 2),
        ("995.92", "038", 3),
        ("412", "414.01", 1.5),
        ("403.90", "585.9", 3),
        ("39.95", "585.6", 3),
    ):
        assert share(admissions, code, condition) > factor * share(admissions, code), (code, condition)


def test_codes_fit_age_and_sex(admissions):
    old = [a for a in admissions if a.stay.age >= 65]
    young = [a for a in admissions if 18 <= a.stay.age < 45]
    assert share(old, "401.9") > 2 * share(young, "401.9")
    for admission in admissions:
        sex, age, stage = admission.stay.patient.sex, admission.stay.age, admission.stay.profile.stage
        bare = [plain(code) for code in admission.diagnoses]
        assert sex == "M" or not any(code.startswith(("185", "600", "V1046")) for code in bare)
        assert sex == "F" or not any(code.startswith(("183", "218", "63", "64", "65")) for code in bare)
        assert (stage == "newborn") == (age == 0)
        assert stage == "newborn" or not any(code.startswith(("V30", "765", "770", "774")) for code in bare)


def test_codes_exclude_each_other(admissions):
    for admission in admissions:
        group_counts = collections.Counter(n for code in admission.codes for n in knowledge.exclusions(code))
        assert not group_counts or max(group_counts.values()) == 1
        assert len(set(admission.codes)) == len(admission.codes)
        assert not any(is_procedure(code) for code in admission.diagnoses)
        assert all(is_procedure(code) for code in admission.procedures)


def test_principal_diagnosis_comes_first(admissions):
    for admission in admissions:
        possible = set(admission.stay.profile.principal[0]) | {"403.90", "403.91"}
        assert admission.diagnoses[0] in possible


def test_patients_return_later_and_die_once(options):
    people = People(options.seed)
    stays_of: dict[int, list] = collections.defaultdict(list)
    for k in range(1_280):
        stay = people.stay(k)
        assert stay.k == k
        stays_of[stay.patient.number].append(stay)
    for stays in stays_of.values():
        assert [stay.order for stay in stays] == list(range(len(stays)))
        assert len({stay.patient for stay in stays}) == 1
        assert all(a.discharged < b.admitted for a, b in itertools.pairwise(stays))
        assert not any(stay.died for stay in stays[:-1])
        assert stays[-1].patient.died == (stays[-1].discharged if stays[-1].died else None)
    assert 1.1 < 1_280 / len(stays_of) < 1.5


def test_icd10_is_reached_through_the_mappings(admissions):
    reached = 0
    for admission in admissions[:600]:
        draw = iter([0.0, 0.3, 0.6, 0.99] * 200).__next__
        targets_of = icd10.diagnoses(admission.diagnoses, draw)
        assert list(targets_of) == list(admission.diagnoses)
        codes = {code for targets in targets_of.values() for code in targets}
        targets = {
            row.target for code in admission.diagnoses for row in terminology.equivalences().get(plain(code), ())
        }
        assert codes <= targets
        reached += len(codes)
    assert reached > 0.9 * sum(len(a.diagnoses) for a in admissions[:600])


@pytest.mark.parametrize(
    ("code", "target"),
    [("401.9", "I10"), ("428.0", "I509"), ("250.00", "E119"), ("038.9", "A419"), ("V58.61", "Z7901")],
)
def test_common_codes_have_the_expected_equivalents(code, target):
    assert icd10.diagnoses([code], lambda: 0.0) == {code: [target]}


def test_a_combination_gives_a_code_for_each_part():
    combined = 0
    for code in terminology.icd9_descriptions():
        rows = [] if is_procedure(code) else terminology.equivalences().get(plain(code), [])
        if rows and min(row.scenario for row in rows) > 0:
            parts = {row.choice for row in rows if row.scenario == min(r.scenario for r in rows)}
            targets = {choice: {r.target for r in rows if r.choice == choice} for choice in parts}
            targets_of_code = icd10.diagnoses([code], lambda: 0.0)[code]
            assert all(set(targets_of_code) & part for part in targets.values()), code
            combined += len(parts) > 1
    assert combined > 100
