"""What holds for recipients who have said nothing else."""

from pydantic import BaseModel, ConfigDict, Field


class PlanLimits(BaseModel):
    """What holds for whoever has said nothing else."""

    model_config = ConfigDict(frozen=True)

    time_zone: str = Field("Asia/Kolkata", description="Of recipients whose city is unknown")
    quiet_from_min: int = Field(21 * 60, ge=0, le=1439, description="Minute of the day when quiet hours begin")
    quiet_until_min: int = Field(8 * 60, ge=0, le=1439, description="Minute of the day when they end")
