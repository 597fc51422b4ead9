"""The limits of papers."""

from pydantic import BaseModel, ConfigDict, Field


class PaperLimits(BaseModel):
    """The limits of what is rendered."""

    model_config = ConfigDict(frozen=True)

    processes: int = Field(2, gt=0, description="Processes that render; each is started when the first paper needs it")
    waiting_max: int = Field(
        32, gt=0, description="Papers that may wait for a process, over all calls; more are refused"
    )
    ahead_max: int = Field(4, gt=0, description="Papers of one call that are rendered before the first of them is sent")
    render_s_max: float = Field(20.0, gt=0, description="A process that takes longer for one paper is ended")
    papers_a_process_max: int = Field(2_000, gt=0, description="A process makes way for a new one after so many papers")
    statement_lines_max: int = Field(
        3_000, ge=0, description="Lines of a statement that are printed one by one; a longer one has its sums only"
    )
    remembered_bytes_max: int = Field(
        2 * 1024 * 1024, gt=0, description="A process forgets what it has set after PDFs of so many bytes: memory"
    )
    piece_bytes: int = Field(256 * 1024, gt=0, description="Largest piece of a paper in one message")
    month_settles_s: int = Field(
        3_600,
        ge=0,
        description="How long after a month's end its invoices can be issued: entries of it may be on the way",
    )
