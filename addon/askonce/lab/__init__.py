"""Askonce at work, to be looked at and measured: the demo and the benchmarks."""
