"""Hypothesis has no limit of time, as on a busy machine an example may take any."""

from hypothesis import settings

settings.register_profile("confirm", deadline=None)
settings.load_profile("confirm")
