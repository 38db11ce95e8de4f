"""How it is computed: engines, flows, running on one machine."""
