"""A person's own style: what they like, learnt, and put on their photos."""
