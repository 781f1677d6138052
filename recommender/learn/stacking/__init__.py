"""The stacker: scores of other models, weighed by small networks."""
