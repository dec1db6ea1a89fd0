"""Three services that share no code, and the demo that runs and checks them: ``python -m examples``."""
