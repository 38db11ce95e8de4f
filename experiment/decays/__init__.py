"""Lifetimes from decays."""
