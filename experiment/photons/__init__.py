"""Photons: streams and files, pairs and emitters, simulation, the analysis of a particle."""
