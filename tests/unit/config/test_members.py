"""A series stands for its checkpoints wherever a command names models."""

from __future__ import annotations

from snakeval.config.members import is_known, with_members
from snakeval.config.models import Model

ENDPOINT = {"url": "http://host/v1"}


def member(step: str) -> Model:
    values = {"series": "run7", "values": {"step": step}, "axis": "step"}
    return Model.model_validate({"endpoint": ENDPOINT | {"model_id": "m"}, "member": values})


def test_a_chosen_series_is_its_checkpoints_in_their_order_each_once() -> None:
    plain = Model.model_validate({"endpoint": ENDPOINT | {"model_id": "m"}})
    models = {"run7@2": member("2"), "m": plain, "run7@1": member("1")}
    assert with_members(["m", "run7@1", "run7"], models) == ("m", "run7@1", "run7@2")
    assert with_members(["none"], models) == ("none",)


def test_any_checkpoint_of_a_series_may_exist() -> None:
    series = Model.model_validate({"endpoint": ENDPOINT, "checkpoints": {"pattern": "r-{step}"}})
    models = {"run7": series, "run8@1": member("1")}
    names = ("run7", "run7@9", "run8@1", "run8@2", "run8")
    assert [is_known(name, models) for name in names] == [True, True, True, False, False]
