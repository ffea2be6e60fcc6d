"""Claims that change after the first record of a study are told, by name."""

import shutil

import pytest
import yaml

from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.companion.claims import preregistered

PROFILE = "photographs"


def edit(change):
    path = paths.data() / "claims.yaml"
    claims = yaml.safe_load(path.read_text())
    change(claims)
    path.write_text(yaml.safe_dump(claims))


def named(claims, name):
    return next(claim for claim in claims if claim["claim"] == name)


def test_claims_are_kept_once_and_what_changes_is_named(checkout):
    assert preregistered.changes(PROFILE) == []
    assert preregistered.changes(PROFILE) == []

    def change(claims):
        named(claims, "training alone").update(threshold=0.5, margin=2)
        # Of another profile, and order: neither is told.
        named(claims, "sweet phase").update(threshold=3)
        claims.reverse()

    edit(change)
    told = "since the first record of photographs"
    assert preregistered.changes(PROFILE) == [f"claim 'training alone' has another threshold, margin {told}"]

    def rename(claims):
        named(claims, "training alone").update(claim="training only")

    edit(rename)
    assert preregistered.changes(PROFILE) == [
        f"claim 'training alone' is gone {told}",
        f"claim 'training only' is new {told}",
    ]


@pytest.mark.parametrize("content", ["", "[]", '{"training alone": 3}', "[" * 10**5])
def test_a_damaged_file_is_one_line(checkout, content):
    preregistered.changes(PROFILE)
    (paths.records(PROFILE) / "claims.json").write_text(content)
    with pytest.raises(TeponesError, match=r"claims\.json: expected the claims as they were; remove it") as told:
        preregistered.changes(PROFILE)
    assert "\n" not in str(told.value)


def test_a_shard_says_it_and_goes_on(tiny_checkout, checkout, command):
    shutil.copytree(tiny_checkout / "build", checkout / "build")

    def add(claims):
        claims.append({**named(claims, "sweet phase"), "claim": "late", "profiles": ["tiny"]})

    edit(add)
    run = command("run", "--profile", "tiny", "--shard", "2/2")
    assert run.returncode == 0
    assert run.stderr == "tepones: claim 'late' is new since the first record of tiny\n"
    assert run.stdout == "study tiny: 0 records computed, the rest reused\n"
