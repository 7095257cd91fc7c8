"""Which simulations there are: found, described as forms, loaded into the fork server."""
