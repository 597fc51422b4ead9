"""The rules of a match, one file each: what a pair costs, or why it is impossible.

A new rule is a new file here (or a class in an installed package, named by an entry point of the group
`lastmile.matching_rules`): nothing else changes. `registry.py` finds it, the city's policy weighs it, and explanations
show it by its name.
"""
