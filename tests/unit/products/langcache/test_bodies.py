from askonce.products.langcache.bodies import Attributes


def test_python_3_12_can_have_attributes_in_a_union() -> None:
    assert hash(Attributes) == hash(Attributes)
