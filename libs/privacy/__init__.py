"""Personal data: sealed wherever it is kept, found again by keyed hashes, masked wherever it is shown."""
