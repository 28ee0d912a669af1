"""Wire formats: one file each, found by the name that rules.yaml uses."""
