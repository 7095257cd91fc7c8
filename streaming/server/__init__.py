"""Daphne with backpressure and a clean shutdown."""
