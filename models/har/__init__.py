"""Human activity recognition: seven shoulder exercises from a smartwatch."""
