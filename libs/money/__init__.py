"""Money: integer minor units with their currency, rounding that is stated, and Indian amounts as text."""
