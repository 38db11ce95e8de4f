"""Submitting to a cluster: what surrounds jobflow-remote, which runs any flow on Slurm, PBS and others.

jobflow-remote keeps the jobs in a MongoDB, a runner sends them to workers; see docs/cluster.md.
"""
