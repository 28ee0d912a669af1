"""Lines of rules.yaml for a client whose calls never hit: what differs from run to run, and what of it is noise."""
