"""Servers that behave like companies that Lastmile depends on, for tests, demos and integrators."""
