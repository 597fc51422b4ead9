"""Who supplies: the company as its tax registrations name it, one a state."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.reconciliation.papers.gst import STATES, gstin_problem


class Registration(BaseModel):
    """The company in one state."""

    model_config = ConfigDict(frozen=True)

    gstin: str = Field(description="Its GSTIN, which begins with the state's code")
    address: str = Field(min_length=1, max_length=400, description="Its registered place of business, in lines")
    city_codes: tuple[str, ...] = Field(min_length=1, description="The cities whose deliveries it supplies")

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        if problem := gstin_problem(self.gstin):
            raise ValueError(f"{self.gstin} {problem}")
        return self

    @property
    def state_code(self) -> str:
        """The state's code."""
        return self.gstin[:2]


class Company(BaseModel):
    """The company and its registrations; without one, no invoice can be issued."""

    model_config = ConfigDict(frozen=True)

    legal_name: str = Field("", max_length=200, description="The company's name as it is registered")
    sac: str = Field("996813", pattern=r"^99[0-9]{4}$", description="Services accounting code: local delivery services")
    registrations: tuple[Registration, ...] = Field((), description="One a state at most")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        states = [registration.state_code for registration in self.registrations]
        cities = [code for registration in self.registrations for code in registration.city_codes]
        if len(set(states)) < len(states) or len(set(cities)) < len(cities):
            raise ValueError("a state has one registration, and a city is of one state")
        if self.registrations and not self.legal_name:
            raise ValueError("registrations need a legal_name")
        return self

    def registration(self, state_code: str) -> Registration | None:
        """Return the registration in a state, or None."""
        found = (known for known in self.registrations if known.state_code == state_code and state_code in STATES)
        return next(found, None)
