"""Rollwarden: a progressive-delivery guard above Argo Rollouts."""

__version__ = "0.1.0"
