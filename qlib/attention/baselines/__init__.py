"""Classical approximations that an expert would try first."""

BACKENDS = ()
