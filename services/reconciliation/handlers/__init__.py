"""The service's consumers: each class in a file of this folder, or behind an entry point `reconciliation.<name>`.

`python -m services.reconciliation consumer` finds and runs them. CONTRIBUTING.md says what one looks like.
"""
