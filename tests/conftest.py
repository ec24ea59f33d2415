"""Settings of all tests: nothing may leak, and hypothesis does not take a slow machine for a bug."""

from hypothesis import HealthCheck, settings

from labdaq.testing import no_leaks

__all__ = ["no_leaks"]

settings.register_profile(
    "labdaq", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("labdaq")
