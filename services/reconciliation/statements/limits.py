"""The limits of files that are taken in."""

from pydantic import BaseModel, ConfigDict, Field


class IntakeLimits(BaseModel):
    """The limits of one file."""

    model_config = ConfigDict(frozen=True)

    file_bytes_max: int = Field(256 * 1024 * 1024, gt=0, description="Largest file, as it is sent")
    content_bytes_max: int = Field(1024 * 1024 * 1024, gt=0, description="Largest content of a compressed file")
    ratio_max: int = Field(100, gt=0, description="A compressed file whose content is so many times larger is a bomb")
    ratio_bytes_min: int = Field(1024 * 1024, gt=0, description="Content up to this may have any ratio")
    line_bytes_max: int = Field(64 * 1024, gt=0, description="Longest line, or XML element")
    record_lines_max: int = Field(20, gt=0, description="Lines that one quoted CSV record may span")
    rows_max: int = Field(2_000_000, gt=0, description="Most rows of a file, refused ones among them")
    batch_rows: int = Field(5_000, gt=0, description="Rows that are in memory, and go into one COPY")
    batch_chars_max: int = Field(1024 * 1024, gt=0, description="Characters after which a batch takes no more rows")
    text_chars_max: int = Field(140, gt=0, description="Longest reference")
    content_chars_max: int = Field(500, gt=0, description="What is kept of a refused row")
    amount_paise_max: int = Field(10**13, gt=0, description="Largest amount of a row")
    paid_ahead_d_max: int = Field(
        7, ge=0, le=36_500, description="How many days after its intake a payment may be dated at most"
    )
    files_at_once_max: int = Field(2, gt=0, description="Files that a process takes in at once; others wait")
    memo_entries_max: int = Field(50_000, gt=0, description="Texts of a field whose meaning is remembered")
