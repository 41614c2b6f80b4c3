"""``python -m e2e.demo``: the whole of Rollwarden on real parts, told as five scenes with the figures measured."""
