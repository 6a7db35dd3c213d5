"""Training: the step, the loop around it, and what keeps it safe."""
