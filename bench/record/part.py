"""What every part of a record is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bench.config import Number

Interval = Annotated[list[Number], Field(min_length=2, max_length=2)]  # 95 %, over samples
Positive = Annotated[Number, Field(gt=0)]


class Part(BaseModel):
    """A part of a record: no field but those declared, no number that is not finite, no endless text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=10_000)
