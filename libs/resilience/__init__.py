"""Bounds on what may be asked of something that must not be overrun."""
