"""Tests of apps with pytest: what a marked test asks is answered from a cassette. One rule: where no test is marked,
pytest reads nothing of Askonce but `plugin`."""
