"""The `lastmile` command."""
