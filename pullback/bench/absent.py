"""Who does not take part."""


class AbsentError(Exception):
    """Why a peer cannot take part, for people."""
